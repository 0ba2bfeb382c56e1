"""The work of the `stylize` model: bytes in, bytes out; no Triton and no torch here."""

from __future__ import annotations

import json
import time
from functools import partial

from photoreal import options, regions
from photoreal.contract import DEFAULT_BLEND, DEFAULT_STEADY
from photoreal.errors import InvalidMask, InvalidOption
from photoreal.preprocess import (
    Limits,
    check_size,
    check_working_size,
    decode_photo,
    encode_labels,
    encode_photo,
    resize_photo,
    working_size,
)
from photoreal.serve.found_regions import decode_masks, describe, find_regions
from photoreal.serve.known_regions import KnownRegions
from photoreal.serve.request import Models, Shot, StyleInput, StylizeRequest, StylizeResponse
from photoreal.serve.sequences import SteadyRegions


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


def stylize(
    request: StylizeRequest,
    models: Models,
    limits: Limits,
    sequences: SteadyRegions | None = None,
    known: KnownRegions | None = None,
) -> StylizeResponse:
    """Serve one request.

    `sequences` remembers the regions of videos from frame to frame, `known` those of styles.

    Raises InvalidRequest (InvalidImage, InvalidMask, InvalidOption) when the caller has to
    change something.
    """
    watch = _Stopwatch()
    check_size(request.size, limits)
    alpha = options.check_alpha(request.alpha)
    places = options.parse_places(request.transfer_at)
    rule = options.parse_match(request.match) if request.match is not None else None
    blend = options.check_blend(request.blend) if request.blend is not None else None
    count = options.check_style_count(len(request.styles))
    weights = options.check_weights(request.style_weights, count)
    shot = _shot(request)
    if (request.content_mask is None) != (request.style_mask is None):
        given, lacking = (
            ("content", "style") if request.style_mask is None else ("style", "content")
        )
        raise InvalidMask(f"There is a {given} mask but no {lacking} mask; give both or none.")
    roles = ["style"] if count == 1 else [f"style {number}" for number in range(1, count + 1)]
    files = zip(("content", *roles), (request.content, *request.styles), strict=True)
    originals = {role: decode_photo(file, f"{role} photo", limits) for role, file in files}
    photos = {}
    for role, photo in originals.items():
        height, width = photo.shape[:2]
        check_working_size(height, width, request.size, f"{role} photo", limits)
        photos[role] = resize_photo(photo, *working_size(height, width, request.size))
    masks = decode_masks(request, originals, limits)
    watch.lap("decode")
    smooth = partial(sequences.smooth, shot) if sequences is not None and shot is not None else None
    segmenting = models if request.segment else None
    found = find_regions(originals, photos, masks, segmenting, rule, smooth, known)
    watch.lap("segment")
    content, *styles = photos.values()
    result = models.transfer(
        content,
        found.content,
        [
            StyleInput(*style)
            for style in zip(styles, found.styles, found.pairs, weights, strict=True)
        ],
        alpha=alpha,
        places=places,
        blend=DEFAULT_BLEND[found.match] if blend is None else blend,
        shot=shot,
    )
    watch.lap("transfer")
    image = encode_photo(result.image)
    # At the photos' own size, label maps can be given back as their masks.
    labels = [
        encode_labels(regions.resize_labels(used, *originals[role].shape[:2]))
        for role, used in zip(originals, (found.content, *found.styles), strict=True)
    ]
    watch.lap("encode")
    report = describe(found, watch.total())
    report["style"] = "cached" if result.style_cached else "measured"
    return StylizeResponse(image, labels[0], labels[1:], json.dumps(report))


def _shot(request: StylizeRequest) -> Shot | None:
    if request.sequence is None:
        if request.steady is not None:
            raise InvalidOption("steady is given without a sequence; expected both or none.")
        return None
    steady = DEFAULT_STEADY if request.steady is None else options.check_steady(request.steady)
    return Shot(options.check_sequence(request.sequence), steady)
