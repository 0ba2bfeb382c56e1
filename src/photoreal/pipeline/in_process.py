"""In-process models for a request, without Triton."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from threading import Lock
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch

from photoreal.arrays import Floats, is_tensor
from photoreal.contract import DEFAULT_STYLE_CACHE_BYTES
from photoreal.networks.segmenter import Segmenter
from photoreal.options import PLACES, Place, StylizeOptions
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
from photoreal.pipeline.wct2.measures_file import write_measures
from photoreal.pipeline.wct2.model import serve_wct2, transfer_tensors
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.pipeline.wct2.style_strip import measuring_inputs, soft_inputs, wct2_inputs
from photoreal.regions import LabelMap
from photoreal.transfer.progressive import Engine
from photoreal.transfer.soft_transfer import SoftImage
from photoreal.transfer.steady import SteadyMoments


def in_process_models(
    engine: Engine,
    segmenter: Segmenter | None = None,
    classes: tuple[str, ...] = (),
    *,
    cache_bytes: int = DEFAULT_STYLE_CACHE_BYTES,
    device: str | None = None,
    weights: Callable[[], str] = lambda: "unnamed",
) -> Models:
    """The `wct2` and `segmenter` models as functions over one engine and segmenter.

    With a `device`, that of the engine, the pixels of requests are computed there as well.
    `weights` returns what identifies the engine's weights in presets. The functions are
    thread-safe; one transfer runs at a time.
    """
    one_at_a_time = Lock()
    cache = StyleCache(cache_bytes, weights)
    sequences = SequenceStore(SteadyMoments)

    def run(inputs: dict[str, Array]) -> Transferred:
        with one_at_a_time:
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
        content: Floats,
        regions: Any,
        styles: Sequence[SoftStyle | MeasuredStyle],
        *,
        places: Collection[Place],
        shot: Shot | None = None,
    ) -> Transferred:
        if not is_tensor(content):
            return run(soft_inputs(content, regions, styles, places=places, shot=shot))
        options = StylizeOptions(
            transfer_at=",".join(places),
            weights=[style.weight for style in styles],
            sequence=None if shot is None else shot.sequence,
            steady=None if shot is None else shot.steady,
        )
        pictures = [
            _soft_image(style.image, style.regions, style.key)
            if isinstance(style, SoftStyle)
            else style.file
            for style in styles
        ]
        couplings = [style.coupling for style in styles]
        own = _soft_image(content, regions)
        with one_at_a_time:
            result = transfer_tensors(own, pictures, couplings, options, engine, cache, sequences)
        return Transferred(*result)

    def measure(image: Floats, regions: Any, key: bytes) -> bytes:
        with one_at_a_time:
            if is_tensor(image):
                found, _ = cache.measure_soft(_soft_image(image, regions, key), engine, PLACES)
                return write_measures(found, cache.weights())
            inputs = measuring_inputs(image, regions)
            outputs = serve_wct2(inputs, engine, cache, wanted=["STYLE_MEASURES"])
        return blob(outputs["STYLE_MEASURES"])

    return Models(
        transfer,
        None if segmenter is None else prober(segmenter),
        classes,
        transfer_soft,
        None if device is None else partial(to_device, torch.device(device)),
        measure,
    )


def to_device(device: torch.device, array: npt.NDArray[Any]) -> torch.Tensor:
    """Copy an array to a device."""
    return torch.from_numpy(np.array(array)).to(device)


def _soft_image(image: torch.Tensor, regions: torch.Tensor, key: bytes = b"") -> SoftImage:
    weights = regions.float()
    return SoftImage(image[None], weights / weights.sum(dim=0), key)


def prober(segmenter: Segmenter) -> Callable[[FloatImage], FloatImage]:
    """Wrap a segmenter for arrays: (3, H, W) in 0..1 to probabilities (classes, h, w)."""
    device = next(segmenter.parameters()).device

    @torch.inference_mode()
    def probabilities(image: FloatImage) -> FloatImage:
        photo = torch.from_numpy(image[None]).to(device)
        planes: FloatImage = segmenter.probabilities(photo)[0].cpu().numpy()
        return planes

    return probabilities
