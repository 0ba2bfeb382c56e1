"""The work of the `stylize` model: bytes in, bytes out; no Triton and no torch here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from photoreal import regions
from photoreal.errors import InvalidMask, InvalidOption
from photoreal.options import (
    DEFAULT_BLEND,
    Place,
    check_options,
    check_style_count,
    check_weights,
    parse_places,
)
from photoreal.preprocess import (
    Limits,
    check_size,
    check_working_size,
    decode_photo,
    encode_labels,
    encode_pixels,
    photo_size,
    resize_photo,
    to_pixels,
    working_size,
)
from photoreal.regions import Pair
from photoreal.serve.cores import available_cores
from photoreal.serve.found_regions import decode_masks, describe, find_regions
from photoreal.serve.known_regions import KnownRegions
from photoreal.serve.memory import check_memory
from photoreal.serve.request import (
    FloatImage,
    Models,
    Shot,
    StyleInput,
    StylizeRequest,
    StylizeResponse,
    shot_of,
)
from photoreal.serve.sequences import SteadyRegions
from photoreal.upsample import apply_colors, fit_colors


class _Stopwatch:
    """Seconds spent in the named stages of one request; `check` is called between them."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._start = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now
        self._check()

    def total(self) -> dict[str, float]:
        return {**self.seconds, "total": round(time.perf_counter() - self._start, 4)}


def stylize(
    request: StylizeRequest,
    models: Models,
    limits: Limits,
    sequences: SteadyRegions | None = None,
    known: KnownRegions | None = None,
    check: Callable[[], None] = lambda: None,
) -> StylizeResponse:
    """Serve one request.

    `sequences` remembers the regions of videos from frame to frame, `known` those of styles.
    `check` is called while photos are decoded and between the stages; it raises Stopped to end
    the work.

    Raises InvalidRequest (InvalidImage, InvalidMask, InvalidOption) when the caller has to
    change something.
    """
    watch = _Stopwatch(check)
    asked = _read_options(request, limits)
    originals, photos = _read_photos(request, limits, check)
    masks = decode_masks(request, originals, limits, check)
    watch.lap("decode")
    smooth = None
    if sequences is not None and asked.shot is not None:
        smooth = partial(sequences.smooth, asked.shot)
    segmenting = models if request.segment else None
    found = find_regions(originals, photos, masks, segmenting, request.match, smooth, known)
    if asked.pairs is not None:
        found.take(asked.pairs)
    watch.lap("segment")
    image = b""
    done: dict[str, Any] = {}
    if not request.regions_only:
        content, *styles = photos.values()
        inputs = zip(styles, found.styles, found.pairs, asked.weights, strict=True)
        result = models.transfer(
            content,
            found.content,
            [StyleInput(*style) for style in inputs],
            alpha=request.alpha,
            places=asked.places,
            blend=DEFAULT_BLEND[found.match] if request.blend is None else request.blend,
            shot=asked.shot,
        )
        watch.lap("transfer")
        if request.full_resolution:
            pixels = _full_resolution(content, result.image, originals["content"])
            watch.lap("upsample")
        else:
            pixels = to_pixels(result.image)
        image = encode_pixels(pixels)
        done = dict(zip(("height", "width"), pixels.shape, strict=False))
        done["style"] = "cached" if result.style_cached else "measured"
    # At the photos' own size, label maps can be given back as their masks.
    labels = [
        encode_labels(regions.resize_labels(used, *originals[role].shape[:2]))
        for role, used in zip(originals, (found.content, *found.styles), strict=True)
    ]
    watch.lap("encode")
    seconds = watch.total()
    report = describe(found, seconds) | done
    return StylizeResponse(image, labels[0], labels[1:], json.dumps(report), seconds)


class _Options(NamedTuple):
    """What the options of a request say together."""

    places: Collection[Place]
    weights: list[float]
    shot: Shot | None
    pairs: list[Pair] | None


def _read_options(request: StylizeRequest, limits: Limits) -> _Options:
    check_options(request)
    check_size(request.size, limits)
    count = check_style_count(len(request.styles))
    if request.pairs is not None and count > 1:
        raise InvalidOption("The pairs are given for several styles; expected a single style.")
    if (request.content_mask is None) != (request.style_mask is None):
        given, lacking = (
            ("content", "style") if request.style_mask is None else ("style", "content")
        )
        raise InvalidMask(f"There is a {given} mask but no {lacking} mask; give both or none.")
    return _Options(
        places=parse_places(request.transfer_at),
        weights=check_weights(request.weights, count),
        shot=shot_of(request),
        pairs=None if request.pairs is None else regions.given_pairs(request.pairs),
    )


def _read_photos(
    request: StylizeRequest, limits: Limits, check: Callable[[], None]
) -> tuple[dict[str, npt.NDArray[np.uint8]], dict[str, FloatImage]]:
    """The photos by role ("content", then the styles) as they came and at working size."""
    several = len(request.styles) > 1
    names = [f"style {i}" if several else "style" for i in range(1, len(request.styles) + 1)]
    files = dict(zip(("content", *names), (request.content, *request.styles), strict=True))
    sizes = {role: photo_size(file, f"{role} photo", limits, check) for role, file in files.items()}
    size = request.size
    if request.full_resolution:  # no photo gets more detail by being enlarged for the transfer
        size = max(limits.min_size, min(size, *sizes["content"]))
    for role, (height, width) in sizes.items():
        check_working_size(height, width, size, f"{role} photo", limits)
    check_memory(sizes, size, limits)
    originals = {
        role: decode_photo(file, f"{role} photo", limits, check) for role, file in files.items()
    }
    photos = {}
    for role, photo in originals.items():
        height, width = photo.shape[:2]
        photos[role] = resize_photo(photo, *working_size(height, width, size))
    return originals, photos


def _full_resolution(
    content: FloatImage, result: FloatImage, original: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """The result of the content at working size, at the pixels of the original (H, W, 3)."""
    if content.shape[1:] == original.shape[:2]:
        return to_pixels(result)
    return apply_colors(fit_colors(content, result), original, threads=available_cores())
