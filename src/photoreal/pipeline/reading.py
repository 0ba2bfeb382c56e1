"""Options of a request, checked."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from photoreal import regions
from photoreal.errors import InvalidMask, InvalidOption
from photoreal.options import (
    DEFAULT_SIZE,
    PUBLISHED_SIZE,
    Format,
    Place,
    check_options,
    check_style_count,
    check_weights,
    parse_places,
)
from photoreal.pipeline.presets.tensor_file import is_tensor_file
from photoreal.pipeline.rendering import result_format
from photoreal.pipeline.request import Shot, StylizeRequest, shot_of
from photoreal.preprocess import Limits, check_size
from photoreal.regions import Pair


class Options(NamedTuple):
    """Settings derived from the options of a request."""

    size: int
    format: Format
    places: Collection[Place]
    weights: list[float]
    shot: Shot | None
    pairs: list[Pair] | None


def read_options(request: StylizeRequest, limits: Limits) -> Options:
    """Check the options of a request; raises InvalidOption and InvalidMask."""
    check_options(request)
    kind = result_format(request, request.content)
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
        format=kind,
        places=parse_places(request.transfer_at, soft=request.method != "published"),
        weights=check_weights(request.weights, count),
        shot=shot_of(request),
        pairs=None if request.pairs is None else regions.given_pairs(request.pairs),
    )
