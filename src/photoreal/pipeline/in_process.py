"""In-process models for a request, without Triton."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Unpack

import numpy as np
import numpy.typing as npt
import torch

from photoreal.contract import DEFAULT_STYLE_CACHE_BYTES
from photoreal.networks.segmenter import Segmenter
from photoreal.options import Place
from photoreal.pipeline.request import (
    FloatImage,
    MeasuredStyle,
    Models,
    Shot,
    SoftStyle,
    StyleInput,
    TransferOptions,
    Transferred,
)
from photoreal.pipeline.sequences import SequenceStore
from photoreal.pipeline.tensors import Array, blob
from photoreal.pipeline.wct2.model import serve_wct2
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.pipeline.wct2.style_strip import measuring_inputs, soft_inputs, wct2_inputs
from photoreal.regions import LabelMap
from photoreal.transfer.progressive import Engine
from photoreal.transfer.steady import SteadyMoments


def in_process_models(
    engine: Engine,
    segmenter: Segmenter | None = None,
    classes: tuple[str, ...] = (),
    *,
    cache_bytes: int = DEFAULT_STYLE_CACHE_BYTES,
    weights: Callable[[], str] = lambda: "unnamed",
) -> Models:
    """The `wct2` and `segmenter` models as functions over one engine and segmenter.

    `weights` returns what identifies the engine's weights in presets.
    """
    cache = StyleCache(cache_bytes, weights)
    sequences = SequenceStore(SteadyMoments)

    def run(inputs: dict[str, Array]) -> Transferred:
        outputs = serve_wct2(inputs, engine, cache, sequences)
        return Transferred(outputs["IMAGE"], bool(outputs["STYLE_CACHED"].all()))

    def transfer(
        content: FloatImage,
        content_labels: LabelMap,
        styles: Sequence[StyleInput],
        **options: Unpack[TransferOptions],
    ) -> Transferred:
        return run(wct2_inputs(content, content_labels, styles, **options))

    def transfer_soft(
        content: FloatImage,
        regions: npt.NDArray[np.uint8],
        styles: Sequence[SoftStyle | MeasuredStyle],
        *,
        places: Collection[Place],
        shot: Shot | None = None,
    ) -> Transferred:
        return run(soft_inputs(content, regions, styles, places=places, shot=shot))

    def measure(image: FloatImage, regions: npt.NDArray[np.uint8]) -> bytes:
        inputs = measuring_inputs(image, regions)
        outputs = serve_wct2(inputs, engine, cache, wanted=["STYLE_MEASURES"])
        return blob(outputs["STYLE_MEASURES"])

    segment = None if segmenter is None else prober(segmenter)
    return Models(transfer, segment, classes, transfer_soft, measure)


def prober(segmenter: Segmenter) -> Callable[[FloatImage], FloatImage]:
    """Wrap a segmenter for arrays: (3, H, W) in 0..1 to probabilities (classes, h, w)."""
    device = next(segmenter.parameters()).device

    @torch.inference_mode()
    def probabilities(image: FloatImage) -> FloatImage:
        photo = torch.from_numpy(image[None]).to(device)
        found = segmenter.labels_and_probabilities(photo)[1]
        planes: FloatImage = found[0].cpu().numpy()
        return planes

    return probabilities
