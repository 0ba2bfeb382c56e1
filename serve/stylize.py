"""The work of the `stylize` model: bytes in, bytes out; no Triton and no torch here."""

from __future__ import annotations

import json
import time

from photoreal import options, regions
from photoreal.contract import DEFAULT_BLEND
from photoreal.errors import InvalidMask
from photoreal.preprocess import (
    Limits,
    check_size,
    check_working_size,
    decode_photo,
    encode_labels,
    encode_photo,
    photo_size,
    resize_photo,
    working_size,
)
from photoreal.serve.found_regions import decode_masks, describe, find_regions
from photoreal.serve.memory import check_memory
from photoreal.serve.request import Models, StylizeRequest, StylizeResponse


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
    sizes = {
        "content": photo_size(request.content, "content photo", limits),
        "style": photo_size(request.style, "style photo", limits),
    }
    check_memory(sizes, request.size, limits)
    originals = {
        "content": decode_photo(request.content, "content photo", limits),
        "style": decode_photo(request.style, "style photo", limits),
    }
    photos = {}
    for role, photo in originals.items():
        height, width = photo.shape[:2]
        check_working_size(height, width, request.size, f"{role} photo", limits)
        photos[role] = resize_photo(photo, *working_size(height, width, request.size))
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
    image = encode_photo(result.image)
    # At the photos' own size, label maps can be given back as their masks.
    labels = [
        encode_labels(regions.resize_labels(used, *originals[role].shape[:2]))
        for role, used in (("content", found.content), ("style", found.style))
    ]
    watch.lap("encode")
    report = describe(found, watch.total())
    report["style"] = "cached" if result.style_cached else "measured"
    return StylizeResponse(image, labels[0], labels[1], json.dumps(report))
