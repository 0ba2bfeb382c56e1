"""Photos of a request, decoded at their own size and at working size, and its presets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy.typing as npt

from photoreal.arrays import Floats
from photoreal.cores import map_on_cores
from photoreal.errors import InvalidOption
from photoreal.pipeline.memory import check_memory
from photoreal.pipeline.presets.preset import Preset, read_preset
from photoreal.pipeline.presets.tensor_file import is_tensor_file
from photoreal.pipeline.regions.known import photo_key
from photoreal.pipeline.request import StylizeRequest
from photoreal.preprocess import (
    Limits,
    Photo,
    as_photo,
    check_working_size,
    photo_header,
    read_photo,
    working_size,
)


class Photos(NamedTuple):
    """The photos of a request by role: "content" first, then the styles in order.

    `originals` are as sent, without the presets; styles may be reduced while decoding, since they
    are needed at working size only. `working` (3, h, w) are at working size, with the presets in
    their places.
    """

    originals: dict[str, Photo]
    working: dict[str, Floats | Preset]

    @property
    def decoded(self) -> dict[str, Floats]:
        """The photos at working size, without the presets."""
        return {
            role: photo for role, photo in self.working.items() if not isinstance(photo, Preset)
        }

    @property
    def content(self) -> Floats:
        """The content at working size."""
        return self.decoded["content"]

    @property
    def styles(self) -> list[Floats | Preset]:
        """The styles in order."""
        return [style for role, style in self.working.items() if role != "content"]


def style_files(request: StylizeRequest) -> dict[str, bytes]:
    """The styles by role: "style", or "style 1" and so on."""
    several = len(request.styles) > 1
    names = [f"style {i}" if several else "style" for i in range(1, len(request.styles) + 1)]
    return dict(zip(names, request.styles, strict=True))


def read_photos(
    files: Mapping[str, bytes],
    request: StylizeRequest,
    size: int,
    limits: Limits,
    check: Callable[[], None],
    device: Callable[[npt.NDArray[Any]], Floats] | None,
) -> Photos:
    """Decode photos by role ("content", then the styles), and parse presets.

    `size` is the shorter side at working size in pixels; copies at that size are on the `device`,
    if there is one. Raises InvalidImage and InvalidOption.
    """
    presets = {
        role: read_preset(file, role, limits)
        for role, file in files.items()
        if role != "content" and is_tensor_file(file)
    }
    if presets and request.method == "published":
        raise InvalidOption(
            f"The {next(iter(presets))} is a preset, but the method published needs the style photo"
            " itself; expected a photo, or the method wct2 or color."
        )
    photos = {role: file for role, file in files.items() if role not in presets}
    headers = {
        role: photo_header(file, f"{role} photo", limits, check) for role, file in photos.items()
    }
    sizes = {role: (one.height, one.width) for role, one in headers.items()}
    if request.method != "published" and "content" in sizes:  # upscaling it adds no detail
        size = max(limits.min_size, min(size, *sizes["content"]))
    for role, (height, width) in sizes.items():
        check_working_size(height, width, size, f"{role} photo", limits)
    if sizes:
        deep = [role for role, one in headers.items() if one.depth == 16]
        check_memory(sizes, size, limits, deep)

    def decode(role: str) -> Photo:
        whole = role == "content" or request.method == "published"  # which resizes the whole photo
        enough = None if whole else size
        return read_photo(photos[role], f"{role} photo", limits, check, enough)

    def at_size(role: str) -> Floats | Preset:
        return presets[role] if role in presets else _at_size(originals[role], size, device)

    originals = dict(zip(photos, map_on_cores(decode, photos), strict=True))
    # A device runs them in order anyway.
    working = map_on_cores(at_size, files, threads=None if device is None else 1)
    return Photos(originals, dict(zip(files, working, strict=True)))


def _at_size(
    photo: Photo, size: int, device: Callable[[npt.NDArray[Any]], Floats] | None
) -> Floats:
    tall, wide = working_size(*photo.shape, size)
    if device is None:
        return photo.resized(tall, wide)
    if photo.is_plain:  # a quarter of the bytes to copy
        return as_photo(device(photo.resized_pixels(tall, wide)))
    return device(photo.resized(tall, wide))


def photo_keys(request: StylizeRequest, photos: Photos) -> dict[str, bytes]:
    """Cache keys of the photos and presets with their regions, by role."""
    files = {"content": request.content, **style_files(request)}
    masks = iter(request.style_masks or [])
    how = request.segment, request.mask_edges, request.match
    keys = {}
    for role, photo in photos.working.items():
        if isinstance(photo, Preset):
            keys[role] = photo_key(files[role])
        else:
            mask = request.content_mask if role == "content" else next(masks, None)
            keys[role] = photo_key(files[role] + b"|" + (mask or b""), tuple(photo.shape), how)
    return keys
