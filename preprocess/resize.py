"""Working size: photos are resized so that the shorter side has a given length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.errors import InvalidOption
from photoreal.preprocess.limits import Limits
from photoreal.render.pixels import Pixels, highest

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of a picture, in pixels."""


def working_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width at which the shorter side has `size` pixels."""
    if height <= width:
        return size, max(size, round(width * size / height))
    return max(size, round(height * size / width)), size


def check_size(size: int, limits: Limits) -> None:
    """Raise InvalidOption when the working size is outside the limits."""
    if not limits.min_size <= size <= limits.max_size:
        raise InvalidOption(
            f"size is {size}; expected {limits.min_size} to {limits.max_size} pixels."
        )


def check_working_size(height: int, width: int, size: int, name: str, limits: Limits) -> None:
    """Raise InvalidOption when a size, or a photo (H, W) at that size, exceeds the limits."""
    check_size(size, limits)
    tall, wide = working_size(height, width, size)
    beyond = _beyond(tall, wide, limits)
    if beyond is None:
        return
    ratio = max(height, width) / min(height, width)
    fitting = min(size, math.ceil(math.sqrt(limits.max_working_pixels / ratio)))
    if limits.max_side is not None:
        fitting = min(fitting, math.ceil(limits.max_side / ratio))
    while fitting > 0 and _beyond(*working_size(height, width, fitting), limits):
        fitting -= 1  # rounding of the longer side can exceed a limit
    advice = (
        f"a size of up to {fitting} fits"
        if fitting >= limits.min_size
        else "it is too long and narrow for any size"
    )
    raise InvalidOption(
        f"The {name} at size {size} would be {wide}x{tall} pixels, {beyond}; {advice}."
    )


def _beyond(tall: int, wide: int, limits: Limits) -> str | None:
    """Describe the limit that a photo at the working size exceeds; None if it exceeds none."""
    if tall * wide > limits.max_working_pixels:
        return f"more than the {limits.max_working_pixels} allowed"
    if limits.max_side is not None and max(tall, wide) > limits.max_side:
        return f"a side longer than the {limits.max_side} allowed"
    return None


def check_sides(photos: Iterable[npt.NDArray[np.float32]], limits: Limits) -> None:
    """Raise InvalidOption when a side of a photo (3, H, W) at the working size is too long."""
    for photo in photos:
        height, width = photo.shape[1:]
        if limits.max_side is not None and max(height, width) > limits.max_side:
            raise InvalidOption(
                f"A photo is {width}x{height} pixels; expected sides of at most {limits.max_side}."
            )


def resize_photo(photo: Pixels, height: int, width: int) -> npt.NDArray[np.float32]:
    """Resize a photo (H, W, 3) uint8 or uint16 to float32 (3, height, width) in 0..1."""
    if photo.dtype != np.uint8:
        planes = np.stack([_resized(photo[..., channel], height, width) for channel in range(3)])
        return np.clip(planes / np.float32(highest(photo)), 0.0, 1.0)
    resized: npt.NDArray[np.float32] = as_photo(resize_pixels(photo, height, width))
    return resized


def resize_pixels(photo: Pixels, height: int, width: int, box: Box | None = None) -> Pixels:
    """Resize a photo (H, W, 3) uint8 or uint16, or with 8 bits a `box` of it, by Lanczos."""
    if photo.shape[:2] == (height, width) and box is None:
        return photo
    if photo.dtype == np.uint8:
        image = Image.fromarray(photo)
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box))
    result = np.empty((height, width, 3), dtype=photo.dtype)
    for channel in range(3):
        plane = _resized(photo[..., channel], height, width)
        result[..., channel] = np.rint(np.clip(plane, 0.0, highest(photo)))
    return result


def as_photo(pixels: Any) -> Any:
    """Convert a photo (H, W, 3) uint8, an array or a tensor, to float32 (3, H, W) in 0..1."""
    if isinstance(pixels, np.ndarray):
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
    return pixels.permute(2, 0, 1).float() / 255.0


def _resized(plane: Pixels, height: int, width: int) -> npt.NDArray[np.float32]:
    """Resize a plane (H, W) with floating-point values: Pillow resizes no 16-bit colors."""
    values = plane.astype(np.float32)
    if plane.shape == (height, width):
        return values
    image = Image.fromarray(values)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
