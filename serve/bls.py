"""The engine that calls the encoder and decoder models of the same Triton server."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from photoreal.contract import BANDS, ORIGINAL, ModelSpec, Unpool, decoder, encoder
from photoreal.serve.adapter import Array, call_model
from photoreal.vgg import Encoded, Skips


class BlsEngine:
    """Runs each level of the networks as a request to `wct2_encoder_N` or `wct2_decoder_N`.

    `parent` is the request for whose sake the levels are called.
    """

    def __init__(self, triton: Any, unpool: Unpool, parent: Any = None) -> None:
        self._triton = triton
        self._unpool = unpool
        self._parent = parent

    def serving(self, request: Any) -> BlsEngine:
        """The same engine at the service of a request."""
        return BlsEngine(self._triton, self._unpool, request)

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4 on (1, C, H, W)."""
        outputs = self._call(encoder(level, self._unpool), {"INPUT": _array(x)})
        tensors = {name: torch.from_numpy(value) for name, value in outputs.items()}
        features = tensors.pop("FEATURES")
        if not tensors:
            return Encoded(features, None)
        horizontal, vertical, diagonal = (tensors[name] for name in BANDS)
        return Encoded(features, Skips(horizontal, vertical, diagonal, tensors.get(ORIGINAL)))

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1 on (1, C, H, W)."""
        inputs = {"FEATURES": _array(x)}
        if skips is not None:
            inputs |= {name: _array(getattr(skips, name)) for name in BANDS}
            if skips.original is not None:
                inputs[ORIGINAL] = _array(skips.original)
        outputs = self._call(decoder(level, self._unpool), inputs)
        return torch.from_numpy(outputs["OUTPUT"])

    def _call(self, level: ModelSpec, inputs: dict[str, Array]) -> dict[str, Array]:
        return call_model(self._triton, level, inputs, self._parent)


def _array(x: Tensor) -> Array:
    return np.ascontiguousarray(x.numpy())
