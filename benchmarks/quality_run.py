"""One style transfer as the server does it, in this process, and its measures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from pictures import Inputs
from quality_metrics import Floats, lab, psnr, seam_ratio, structure_kept, style_distance
from quality_pairs import InvalidPair, PhotoPair
from quality_report import Measures, Variant
from serving import in_process

from photoreal import regions
from photoreal.errors import InvalidRequest
from photoreal.preprocess import Limits, decode_mask, decode_photo
from photoreal.regions import LabelMap, Pair
from photoreal.segmenter import Segmenter
from photoreal.serve.request import FloatImage, Models, StylizeRequest
from photoreal.serve.stylize import stylize
from photoreal.transfer import Engine

_LIMITS = Limits()
_Regions = tuple[
    LabelMap, LabelMap, Sequence[Pair]
]  # of the content, of the style, who takes whose


class Run(NamedTuple):
    """The transfer's inputs, the picture that a client would get, the transfer's seconds."""

    inputs: Inputs
    result: FloatImage
    seconds: float


@dataclass(frozen=True)
class Stylizer:
    """The server's work with the networks in this process."""

    engine: Engine
    segmenter: Segmenter | None = None
    classes: tuple[str, ...] = ()

    def run(self, request: StylizeRequest) -> Run:
        """Serve a request and keep what the transfer was given; raises InvalidRequest."""
        seen: list[Inputs] = []
        models = Models(
            transfer=in_process(self.engine, seen),
            segment=None if self.segmenter is None else prober(self.segmenter),
            segmenter_classes=self.classes,
        )
        response = stylize(request, models, _LIMITS)
        pixels = decode_photo(response.image, "result", _LIMITS)
        picture = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        return Run(seen[0], picture, float(json.loads(response.report)["seconds"]["transfer"]))


def prober(segmenter: Segmenter) -> Callable[[FloatImage], FloatImage]:
    """The segmenter as a function of arrays: (3, H, W) to probabilities (classes, h, w)."""

    @torch.inference_mode()
    def probabilities(image: FloatImage) -> FloatImage:
        found = segmenter.labels_and_probabilities(torch.from_numpy(image[None]))[1]
        planes: FloatImage = found[0].numpy()
        return planes

    return probabilities


def make_request(pair: PhotoPair, variant: Variant, size: int) -> StylizeRequest:
    """The request that stylizes a pair in one way, at `size` pixels of the shorter side."""
    masks = variant.regions == "masks"
    return StylizeRequest(
        content=pair.content,
        style=pair.style,
        content_mask=pair.content_mask if masks else None,
        style_mask=pair.style_mask if masks else None,
        size=size,
        transfer_at=variant.places,
        segment=variant.regions == "automatic",
        match="nearest" if variant.regions == "automatic" else "published",
    )


def measure(
    stylizer: Stylizer, pair: PhotoPair, variant: Variant, size: int, *, reconstruct: bool = True
) -> tuple[Measures, Run]:
    """Stylize a pair in one way and measure the picture.

    `reconstruct` stylizes the content by itself as well, which takes as long again. Raises
    InvalidPair when the pair cannot be stylized so.
    """
    try:
        run = stylizer.run(make_request(pair, variant, size))
        again = None
        if reconstruct:
            itself = PhotoPair(
                pair.name, pair.content, pair.content, pair.content_mask, pair.content_mask
            )
            again = stylizer.run(make_request(itself, variant, size)).result
    except InvalidRequest as error:
        raise InvalidPair(f"Pair {pair.name!r}: {error}") from None
    content, style, labels, style_labels, pairs = run.inputs
    content_lab, style_lab, result_lab = lab(content), lab(style), lab(run.result)
    drawn = _drawn_regions(pair, run.inputs)

    def distance(picture: Floats, found: _Regions) -> float | None:
        return style_distance(picture, style_lab, *found)

    used = (labels, style_labels, pairs)
    measures = Measures(
        structure=structure_kept(content, run.result),
        style_before=distance(content_lab, used),
        style_after=distance(result_lab, used),
        drawn_before=distance(content_lab, drawn) if drawn else None,
        drawn_after=distance(result_lab, drawn) if drawn else None,
        seams=seam_ratio(content, run.result, labels),
        drawn_seams=seam_ratio(content, run.result, drawn[0]) if drawn else None,
        reconstruction_db=None if again is None else psnr(content, again),
        styled_share=float(np.isin(labels, [one.content for one in pairs]).mean()),
        seconds=run.seconds,
    )
    return measures, run


def _drawn_regions(pair: PhotoPair, inputs: Inputs) -> _Regions | None:
    """The drawn masks at working size and their pairs, for a run that used other regions."""
    if pair.content_mask is None or pair.style_mask is None:
        return None
    content, style = (
        regions.resize_labels(decode_mask(mask, "mask", _LIMITS).labels, *picture.shape[1:])
        for mask, picture in (
            (pair.content_mask, inputs.content),
            (pair.style_mask, inputs.style),
        )
    )
    return content, style, regions.match_published(content, style)
