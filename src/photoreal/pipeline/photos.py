"""Photos of a request, decoded at their own size and at working size."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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


def read_photos(
    request: StylizeRequest,
    size: int,
    limits: Limits,
    check: Callable[[], None],
    device: Callable[[npt.NDArray[Any]], Floats] | None,
) -> tuple[dict[str, Photo], dict[str, Floats]]:
    """Decode the photos by role ("content", then the styles), at original and working size.

    `size` is the shorter side at working size in pixels; copies at that size are on the `device`,
    if there is one. Raises InvalidImage and InvalidOption.
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

    with ThreadPoolExecutor(available_cores()) as pool:
        originals = dict(zip(files, pool.map(decode, files), strict=True))
    photos = {}
    for role, photo in originals.items():
        tall, wide = working_size(*photo.shape, size)
        if device is None:
            photos[role] = photo.resized(tall, wide)
        elif photo.is_plain:  # a quarter of the bytes to copy
            photos[role] = as_photo(device(resize_pixels(photo.pixels, tall, wide)))
        else:
            photos[role] = device(photo.resized(tall, wide))
    return originals, photos
