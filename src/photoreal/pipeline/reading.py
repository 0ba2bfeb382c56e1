"""Reading of a request: its options checked, its photos decoded, its presets parsed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from photoreal import regions
from photoreal.arrays import Floats
from photoreal.cores import available_cores
from photoreal.errors import InvalidMask, InvalidOption
from photoreal.options import (
    DEFAULT_SIZE,
    PUBLISHED_SIZE,
    Place,
    check_options,
    check_style_count,
    check_weights,
    parse_places,
)
from photoreal.pipeline.known_regions import photo_key
from photoreal.pipeline.memory import check_memory
from photoreal.pipeline.presets.preset import Preset, read_preset
from photoreal.pipeline.presets.tensor_file import is_tensor_file
from photoreal.pipeline.request import Shot, StylizeRequest, shot_of
from photoreal.preprocess import (
    Limits,
    as_photo,
    check_size,
    check_working_size,
    decode_photo,
    photo_size,
    resize_photo,
    resize_pixels,
    working_size,
)
from photoreal.regions import Pair


class Options(NamedTuple):
    """Settings derived from the options of a request."""

    size: int
    places: Collection[Place]
    weights: list[float]
    shot: Shot | None
    pairs: list[Pair] | None


class Photos(NamedTuple):
    """The photos of a request by role: "content" first, then the styles in order.

    `originals` (H, W, 3) are as sent, without the presets; `working` (3, h, w) are at working
    size, with the presets in their places.
    """

    originals: dict[str, npt.NDArray[np.uint8]]
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


def read_options(request: StylizeRequest, limits: Limits) -> Options:
    """Check the options of a request; raises InvalidOption and InvalidMask."""
    check_options(request)
    size = request.size
    if size is None:
        size = PUBLISHED_SIZE if request.method == "published" else DEFAULT_SIZE
        size = min(size, limits.max_size)
    check_size(size, limits)
    count = check_style_count(len(request.styles))
    if request.pairs is not None and count > 1:
        raise InvalidOption("The pairs are given for several styles; expected a single style.")
    # A preset brings the regions of its own mask.
    all_presets = all(is_tensor_file(style) for style in request.styles)
    masked = request.content_mask is not None, request.style_mask is not None
    if masked[0] != masked[1] and not (masked[0] and all_presets) and not request.measures_style:
        given, lacking = ("content", "style") if masked[0] else ("style", "content")
        raise InvalidMask(f"There is a {given} mask but no {lacking} mask; give both or none.")
    return Options(
        size=size,
        places=parse_places(request.transfer_at),
        weights=check_weights(request.weights, count),
        shot=shot_of(request),
        pairs=None if request.pairs is None else regions.given_pairs(request.pairs),
    )


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
    device: Callable[[npt.NDArray[Any]], Floats] | None = None,
) -> Photos:
    """Decode photos by role and parse presets; `size` is that of the options.

    The photos at working size are on the `device`, if there is one.

    Raises InvalidImage for a file that cannot be read or exceeds a limit, InvalidOption when the
    photos exceed a limit at working size, and for a preset with the method `published`.
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
    sizes = {
        role: photo_size(file, f"{role} photo", limits, check) for role, file in photos.items()
    }
    if request.method != "published" and "content" in sizes:  # upscaling it adds no detail
        size = max(limits.min_size, min(size, *sizes["content"]))
    for role, (height, width) in sizes.items():
        check_working_size(height, width, size, f"{role} photo", limits)
    check_memory(sizes, size, limits)

    def decode(role: str) -> npt.NDArray[np.uint8]:
        return decode_photo(photos[role], f"{role} photo", limits, check)

    with ThreadPoolExecutor(available_cores()) as pool:
        originals = dict(zip(photos, pool.map(decode, photos), strict=True))
    working = {
        role: presets[role] if role in presets else _at_size(originals[role], size, device)
        for role in files
    }
    return Photos(originals, working)


def _at_size(
    photo: npt.NDArray[np.uint8], size: int, device: Callable[[npt.NDArray[Any]], Floats] | None
) -> Floats:
    height, width = photo.shape[:2]
    tall, wide = working_size(height, width, size)
    if device is None:
        return resize_photo(photo, tall, wide)
    return as_photo(device(resize_pixels(photo, tall, wide)))  # a quarter of the bytes to copy


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
