"""The work of the `stylize` model: bytes in, bytes out; no Triton and no torch here."""

from __future__ import annotations

import json
import time

import numpy as np
import numpy.typing as npt

from photoreal import options, regions
from photoreal.contract import DEFAULT_BLEND
from photoreal.errors import InvalidMask
from photoreal.preprocess import (
    Limits,
    check_size,
    check_working_size,
    decode_photo,
    encode_labels,
    encode_pixels,
    resize_photo,
    to_pixels,
    working_size,
)
from photoreal.serve.cores import available_cores
from photoreal.serve.found_regions import decode_masks, describe, find_regions
from photoreal.serve.request import FloatImage, Models, StylizeRequest, StylizeResponse
from photoreal.upsample import apply_colors, fit_colors


class _Stopwatch:
    """Seconds spent in the named stages of one request."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 4)
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self.seconds, "total": round(time.perf_counter() - self._start, 4)}


def stylize(request: StylizeRequest, models: Models, limits: Limits) -> StylizeResponse:
    """Serve one request.

    Raises InvalidRequest (InvalidImage, InvalidMask, InvalidOption) when the caller has to
    change something.
    """
    watch = _Stopwatch()
    check_size(request.size, limits)
    alpha = options.check_alpha(request.alpha)
    places = options.parse_places(request.transfer_at)
    rule = options.parse_match(request.match) if request.match is not None else None
    blend = options.check_blend(request.blend) if request.blend is not None else None
    if (request.content_mask is None) != (request.style_mask is None):
        given, lacking = (
            ("content", "style") if request.style_mask is None else ("style", "content")
        )
        raise InvalidMask(f"There is a {given} mask but no {lacking} mask; give both or none.")
    originals = {
        "content": decode_photo(request.content, "content photo", limits),
        "style": decode_photo(request.style, "style photo", limits),
    }
    size = request.size
    if request.full_resolution:  # no photo gets more detail by being enlarged for the transfer
        size = max(limits.min_size, min(size, *originals["content"].shape[:2]))
    photos = {}
    for role, photo in originals.items():
        height, width = photo.shape[:2]
        check_working_size(height, width, size, f"{role} photo", limits)
        photos[role] = resize_photo(photo, *working_size(height, width, size))
    masks = decode_masks(request, originals, limits)
    watch.lap("decode")
    found = find_regions(originals, photos, masks, models if request.segment else None, rule)
    watch.lap("segment")
    result = models.transfer(
        photos["content"],
        photos["style"],
        found.content,
        found.style,
        pairs=found.pairs,
        alpha=alpha,
        places=places,
        blend=DEFAULT_BLEND[found.match] if blend is None else blend,
    )
    watch.lap("transfer")
    if request.full_resolution:
        pixels = _full_resolution(photos["content"], result.image, originals["content"])
        watch.lap("upsample")
    else:
        pixels = to_pixels(result.image)
    image = encode_pixels(pixels)
    # At the photos' own size, label maps can be given back as their masks.
    labels = [
        encode_labels(regions.resize_labels(used, *originals[role].shape[:2]))
        for role, used in (("content", found.content), ("style", found.style))
    ]
    watch.lap("encode")
    report = describe(found, watch.total())
    report["height"], report["width"] = pixels.shape[:2]
    report["style"] = "cached" if result.style_cached else "measured"
    return StylizeResponse(image, labels[0], labels[1], json.dumps(report))


def _full_resolution(
    content: FloatImage, result: FloatImage, original: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """The result of the content at working size, at the pixels of the original (H, W, 3)."""
    if content.shape[1:] == original.shape[:2]:
        return to_pixels(result)
    return apply_colors(fit_colors(content, result), original, threads=available_cores())
