"""The photos of a request, decoded and at working size."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats
from photoreal.cores import available_cores
from photoreal.pipeline.memory import check_memory
from photoreal.pipeline.request import StylizeRequest
from photoreal.preprocess import (
    Limits,
    Photo,
    as_photo,
    check_working_size,
    photo_header,
    read_photo,
    resize_pixels,
    working_size,
)

Device = Callable[[npt.NDArray[Any]], Floats]
"""Moves an array to a GPU."""


def read_photos(
    request: StylizeRequest,
    size: int,
    limits: Limits,
    check: Callable[[], None],
    device: Device | None,
) -> tuple[dict[str, Photo], dict[str, Floats]]:
    """Decode the photos by role ("content", then the styles), at original and working size.

    The latter are on the `device`, if there is one. `size` is the shorter side in pixels that the
    request asks for. Raises InvalidImage and InvalidOption.
    """
    several = len(request.styles) > 1
    names = [f"style {i}" if several else "style" for i in range(1, len(request.styles) + 1)]
    files = dict(zip(("content", *names), (request.content, *request.styles), strict=True))
    headers = {
        role: photo_header(file, f"{role} photo", limits, check) for role, file in files.items()
    }
    sizes = {role: (one.height, one.width) for role, one in headers.items()}
    if request.method != "published":  # upscaling a photo adds no detail
        size = max(limits.min_size, min(size, *sizes["content"]))
    for role, (height, width) in sizes.items():
        check_working_size(height, width, size, f"{role} photo", limits)
    check_memory(sizes, size, limits, [role for role, one in headers.items() if one.depth == 16])

    def decode(role: str) -> Photo:
        return read_photo(files[role], f"{role} photo", limits, check)

    with ThreadPoolExecutor(available_cores()) as pool:  # Pillow releases the GIL
        originals = dict(zip(files, pool.map(decode, files), strict=True))
    photos = {
        role: _at_work(photo, *working_size(*photo.shape, size), device)
        for role, photo in originals.items()
    }
    return originals, photos


def _at_work(photo: Photo, height: int, width: int, device: Device | None) -> Floats:
    if device is None:
        return photo.resized(height, width)
    if photo.space is None and photo.pixels.dtype == np.uint8:  # a quarter of the bytes to copy
        return as_photo(device(resize_pixels(photo.pixels, height, width)))
    return device(photo.resized(height, width))
