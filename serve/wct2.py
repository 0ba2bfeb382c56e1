"""The work of the `wct2` model: arrays in, array out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from photoreal import kernels, options, regions
from photoreal.contract import (
    DEFAULT_ALPHA,
    DEFAULT_TRANSFER_AT,
    UNPOOL_PARAMETER,
    UNPOOLS,
    WEIGHTS_FILE,
    Unpool,
)
from photoreal.errors import InvalidOption, ServeError
from photoreal.regions import Pair
from photoreal.serve.adapter import Array, engine_name, parameter, text
from photoreal.serve.bls import BlsEngine
from photoreal.serve.cores import available_cores
from photoreal.serve.style_cache import StyleCache
from photoreal.transfer import Engine, LabelledImage, NetworkEngine, apply_style, check_side
from photoreal.weights.networks import load_bundle, load_wct2


def make_engine(triton: Any, model_config: str, version_folder: Path) -> Engine:
    """The engine that the environment or the config asks for; raises ServeError, WeightsError."""
    unpool = parameter(model_config, UNPOOL_PARAMETER, UNPOOLS[0])
    if unpool not in UNPOOLS:
        raise ServeError(f"Unpooling {unpool!r} is not known; expected {' or '.join(UNPOOLS)}.")
    way: Unpool = "cat5" if unpool == "cat5" else "sum"
    torch.set_num_threads(available_cores())
    if engine_name(model_config) == "bls":
        return BlsEngine(triton, way)
    kernels.prepare()  # here rather than in the first request
    bundle = version_folder / WEIGHTS_FILE
    networks = load_bundle(bundle) if bundle.exists() else load_wct2(unpool=way)
    return NetworkEngine(*networks)


def engine_for(engine: Engine, request: Any) -> Engine:
    """The engine for one request: calls to other models carry its id and belong to its trace."""
    return engine.serving(request) if isinstance(engine, BlsEngine) else engine


def serve_wct2(inputs: dict[str, Array], engine: Engine, cache: StyleCache) -> dict[str, Array]:
    """Transfer one pair; raises InvalidOption when the inputs do not belong together."""
    content, style = (_picture(inputs, role) for role in ("CONTENT", "STYLE"))
    pairs = _pairs(inputs, content, style)
    alpha = options.check_alpha(float(inputs.get("ALPHA", np.array(DEFAULT_ALPHA)).item()))
    places = options.parse_places(
        text(inputs["TRANSFER_AT"]) if "TRANSFER_AT" in inputs else DEFAULT_TRANSFER_AT
    )
    blend = options.check_blend(int(inputs.get("BLEND", np.array(0)).item()))
    for picture in (content, style):
        check_side(picture)
    wanted = {pair.style for pair in pairs}
    measures, cached = cache.measure(style, wanted, engine, places)
    result = apply_style(content, measures, pairs, engine, alpha=alpha, places=places, blend=blend)
    return {
        "IMAGE": np.ascontiguousarray(result[0].numpy()),
        "STYLE_CACHED": np.array([cached]),
    }


def _picture(inputs: dict[str, Array], role: str) -> LabelledImage:
    image = inputs[role]
    if not np.isfinite(image).all():
        raise InvalidOption(f"{role} holds values that are not finite; expected 0 to 1.")
    labels = inputs.get(f"{role}_LABELS")
    if labels is None:
        labels = np.zeros(image.shape[1:], dtype=np.uint8)
    elif labels.shape != image.shape[1:]:
        raise InvalidOption(
            f"{role}_LABELS is {_size(labels)} but {role} is {_size(image)}; expected the same"
            " height and width."
        )
    return LabelledImage(torch.from_numpy(np.array(image[None])), labels)


def _pairs(inputs: dict[str, Array], content: LabelledImage, style: LabelledImage) -> list[Pair]:
    """Pairs as given (style -1 is the whole photo), else by the published rule."""
    if ("CONTENT_LABELS" in inputs) != ("STYLE_LABELS" in inputs):
        raise InvalidOption(
            "One label map is missing; give CONTENT_LABELS and STYLE_LABELS or none."
        )
    if "PAIRS" in inputs:
        pairs = [
            Pair(ours, None if theirs < 0 else theirs) for ours, theirs in inputs["PAIRS"].tolist()
        ]
        if len({pair.content for pair in pairs}) < len(pairs) or len(pairs) > regions.MAX_REGIONS:
            raise InvalidOption(
                f"PAIRS names a content label twice or more than {regions.MAX_REGIONS} of them;"
                " expected each once."
            )
        return pairs
    if "CONTENT_LABELS" in inputs:
        return regions.match_published(content.labels, style.labels)
    return [Pair(0, None)]


def _size(array: Array) -> str:
    return "x".join(map(str, array.shape[-2:]))
