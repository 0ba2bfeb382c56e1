"""Soft-region inputs of `wct2`: weight planes and a coupling."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from photoreal.errors import InvalidOption
from photoreal.options import Place, StylizeOptions, check_style_count, check_weights, parse_places
from photoreal.pipeline.tensors import Array, blobs
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.pipeline.wct2.style_strip import cut_out, given
from photoreal.regions import MAX_REGIONS, Pair
from photoreal.transfer.mixing import Ingredient, mix_styles
from photoreal.transfer.padding import check_side
from photoreal.transfer.progressive import Engine, Steady
from photoreal.transfer.soft_transfer import (
    SoftImage,
    SoftMeasures,
    apply_soft,
    couple_measures,
)

NAMES = ("CONTENT_REGIONS", "STYLE_REGIONS", "COUPLING", "STYLE_MEASURES")
"""Names of the soft-region inputs."""


class Apply(Protocol):
    """A function that runs the content through the networks."""

    def __call__(self, *, steady: Steady | None) -> Tensor:
        """Return the result (1, 3, H, W)."""


class Prepared(NamedTuple):
    """A transfer with its styles measured.

    `cached` is true for each style that was a cache hit, `partner_key` maps a content region
    to a key of its style partners, `shot_key` is what the frames of a shot have in common,
    `measures` are the moments of each style's soft regions.
    """

    apply: Apply
    cached: list[bool]
    partner_key: Callable[[int], Hashable]
    shot_key: Hashable
    measures: Sequence[SoftMeasures] = ()


def read_soft(
    inputs: dict[str, Array], options: StylizeOptions, engine: Engine, cache: StyleCache
) -> Prepared:
    """Prepare a transfer by soft regions: read the inputs and measure the styles.

    Raises InvalidOption for a missing input, for planes that differ in size from their photo, and
    for a coupling whose shape does not match the planes.
    """
    return prepare_soft(*_read(inputs), options, engine, cache)


def prepare_soft(
    content: SoftImage,
    styles: Sequence[SoftImage | bytes],
    couplings: Sequence[npt.NDArray[np.float64]],
    options: StylizeOptions,
    engine: Engine,
    cache: StyleCache,
) -> Prepared:
    """Prepare a transfer by soft regions: measure the styles, some of which may be presets.

    Each style's coupling (K, J) is the share of its regions in each content region's mix.
    """
    weights = check_weights(options.weights, check_style_count(len(styles)))
    places = parse_places(options.transfer_at, soft=True)
    for picture in (content, *styles):
        if isinstance(picture, SoftImage):
            check_side(picture.image)
    known = [
        cache.measure_soft(style, engine, places)
        if isinstance(style, SoftImage)
        else (_preset(style, coupling, engine, cache, places), True)
        for style, coupling in zip(styles, couplings, strict=True)
    ]
    coupled = [
        couple_measures(found, coupling)
        for (found, _), coupling in zip(known, couplings, strict=True)
    ]
    measures = coupled[0]
    if len(styles) > 1:
        pairs = [
            [Pair(region, region) for region, row in enumerate(coupling) if row.any()]
            for coupling in couplings
        ]
        parts = zip(coupled, pairs, weights, strict=True)
        measures, _ = mix_styles([Ingredient(*part) for part in parts])
    apply = partial(apply_soft, content, measures, engine, alpha=options.alpha, places=places)
    return Prepared(
        apply,
        [cached for _, cached in known],
        lambda region: tuple(coupling[region].tobytes() for coupling in couplings),
        (content.image.shape, len(content.weights), tuple(weights), options.alpha, places),
        [found for found, _ in known],
    )


def _preset(
    file: bytes,
    coupling: npt.NDArray[np.float64],
    engine: Engine,
    cache: StyleCache,
    places: Collection[Place],
) -> SoftMeasures:
    """The moments in a preset; raises InvalidOption if it has more regions than the coupling."""
    found = cache.read(file, engine, places)
    if any(region >= coupling.shape[1] for regions in found.values() for region in regions):
        raise InvalidOption(
            f"The preset has moments of more regions than COUPLING has columns for it,"
            f" {coupling.shape[1]}; expected a column for each."
        )
    return found


def _read(
    inputs: dict[str, Array],
) -> tuple[SoftImage, list[SoftImage | bytes], Sequence[npt.NDArray[np.float64]]]:
    presets = blobs(inputs["STYLE_MEASURES"]) if "STYLE_MEASURES" in inputs else [b""]
    needed = ["CONTENT_REGIONS", "STYLE_REGIONS", "COUPLING"]
    if all(presets):
        needed.remove("STYLE_REGIONS")
    lacking = [name for name in needed if name not in inputs]
    if lacking:
        raise InvalidOption(
            f"Soft regions need {', '.join(needed)}; missing: {', '.join(lacking)}."
        )
    labels = [name for name in ("CONTENT_LABELS", "STYLE_LABELS", "PAIRS") if name in inputs]
    if labels:
        raise InvalidOption(
            f"Soft regions came with {', '.join(labels)}; give label maps or soft regions."
        )
    content = _soft_image(inputs["CONTENT"], inputs["CONTENT_REGIONS"], "CONTENT")
    styles: list[SoftImage | bytes] = [*_photos(inputs)] if "STYLE_REGIONS" in needed else []
    if "STYLE_MEASURES" in inputs:
        photos = iter(styles)
        if len(styles) != sum(not file for file in presets):
            raise InvalidOption(
                f"STYLE_MEASURES leaves {sum(not file for file in presets)} of its elements empty"
                f" for {len(styles)} photos in STYLE; expected one for each."
            )
        styles = [file or next(photos) for file in presets]
    coupling = inputs["COUPLING"].astype(np.float64)
    planes = len(inputs["STYLE_REGIONS"]) if "STYLE_REGIONS" in needed else 0
    columns = planes or max(coupling.shape[1] // len(styles), 1)
    shape = (len(content.weights), columns * len(styles))
    if coupling.shape != shape or not np.isfinite(coupling).all() or coupling.min() < 0.0:
        raise InvalidOption(
            f"COUPLING is {coupling.shape[0]}x{coupling.shape[1]}; expected shares from 0 up,"
            f" {shape[0]} rows of {shape[1]}: a row for each content region, a column for each"
            " region of each style."
        )
    return content, styles, np.split(coupling, len(styles), axis=1)


def _photos(inputs: dict[str, Array]) -> list[SoftImage]:
    """The style photos with their regions."""
    strip, sizes = given(inputs, "STYLE"), inputs.get("STYLE_SIZES")
    _check_planes(strip, inputs["STYLE_REGIONS"], "STYLE")
    images, planes = (cut_out(one, sizes) for one in (strip, inputs["STYLE_REGIONS"]))
    return [_soft_image(*one, "STYLE") for one in zip(images, planes, strict=True)]


def _soft_image(image: Array, planes: Array, role: str) -> SoftImage:
    if not np.isfinite(image).all():
        raise InvalidOption(f"{role} holds values that are not finite; expected 0 to 1.")
    _check_planes(image, planes, role)
    weights = planes.astype(np.float32)
    total = weights.sum(axis=0)
    if not total.all():
        raise InvalidOption(
            f"{role}_REGIONS leaves pixels without a region; expected one for each."
        )
    return SoftImage(torch.from_numpy(np.array(image[None])), weights / total)


def _check_planes(image: Array, planes: Array, role: str) -> None:
    if planes.shape[1:] != image.shape[1:] or not 1 <= len(planes) <= MAX_REGIONS:
        raise InvalidOption(
            f"{role}_REGIONS is {'x'.join(map(str, planes.shape))}; expected 1 to {MAX_REGIONS}"
            f" planes of {image.shape[1]}x{image.shape[2]}, as {role} is."
        )
