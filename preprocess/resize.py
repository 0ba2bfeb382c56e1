"""The working size: photos scaled to one length of the shorter side."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.errors import InvalidOption
from photoreal.preprocess.limits import Limits


def working_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width at which the shorter side has `size` pixels."""
    if height <= width:
        return size, max(size, round(width * size / height))
    return max(size, round(height * size / width)), size


def check_size(size: int, limits: Limits) -> None:
    """Raise InvalidOption when no photo may be worked on at this size."""
    if not limits.min_size <= size <= limits.max_size:
        raise InvalidOption(
            f"size is {size}; expected {limits.min_size} to {limits.max_size} pixels."
        )


def check_working_size(height: int, width: int, size: int, name: str, limits: Limits) -> None:
    """Raise InvalidOption when a size, or a photo (H, W) at that size, is beyond limits."""
    check_size(size, limits)
    tall, wide = working_size(height, width, size)
    if tall * wide > limits.max_working_pixels:
        ratio = max(height, width) / min(height, width)
        fitting = math.floor(math.sqrt(limits.max_working_pixels / ratio))
        while math.prod(working_size(height, width, fitting)) > limits.max_working_pixels:
            fitting -= 1  # the longer side is rounded
        advice = (
            f"a size of up to {fitting} fits"
            if fitting >= limits.min_size
            else "it is too long and narrow for any size"
        )
        raise InvalidOption(
            f"The {name} at size {size} would be {wide}x{tall} pixels, more than the"
            f" {limits.max_working_pixels} allowed; {advice}."
        )


def resize_photo(photo: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.float32]:
    """Photo (H, W, 3) uint8 to float32 (3, height, width) in 0..1."""
    if photo.shape[:2] != (height, width):
        image = Image.fromarray(photo)
        photo = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(photo.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
