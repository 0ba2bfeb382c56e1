"""BLS (Business Logic Scripting) engine: calls encoder and decoder models of the same server."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from photoreal.contract import BANDS, ORIGINAL, ModelSpec, Unpool, decoder, encoder
from photoreal.networks.vgg import Encoded, Skips
from photoreal.serve.backend.adapter import call_with_tensors


class BlsEngine:
    """Runs each level of the networks as a request to `wct2_encoder_N` or `wct2_decoder_N`.

    Tensors stay on the models' device: GPU tensors pass from one model to the next through DLPack.
    `depth` is that of the networks, `parent` is the request that the calls belong to.
    """

    def __init__(self, triton: Any, unpool: Unpool, depth: int, parent: Any = None) -> None:
        self.depth = depth
        self._triton = triton
        self._unpool = unpool
        self._parent = parent

    def serving(self, request: Any) -> BlsEngine:
        """Return an engine whose calls belong to a request."""
        return BlsEngine(self._triton, self._unpool, self.depth, request)

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4 on (1, C, H, W)."""
        tensors = self._call(encoder(level, self._unpool), {"INPUT": x})
        features = tensors.pop("FEATURES")
        if not tensors:
            return Encoded(features, None)
        horizontal, vertical, diagonal = (tensors[name] for name in BANDS)
        return Encoded(features, Skips(horizontal, vertical, diagonal, tensors.get(ORIGINAL)))

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1 on (1, C, H, W)."""
        inputs = {"FEATURES": x}
        if skips is not None:
            inputs |= {name: getattr(skips, name) for name in BANDS}
            if skips.original is not None:
                inputs[ORIGINAL] = skips.original
        return self._call(decoder(level, self._unpool), inputs)["OUTPUT"]

    def _call(self, level: ModelSpec, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        tensors = [self._to_triton(name, x) for name, x in inputs.items()]
        outputs = call_with_tensors(self._triton, level, tensors, self._parent)
        return {name: _from_triton(tensor) for name, tensor in outputs.items()}

    def _to_triton(self, name: str, x: Tensor) -> Any:
        if _is_on_cpu(x):
            return self._triton.Tensor(name, np.ascontiguousarray(x.numpy()))
        return self._triton.Tensor.from_dlpack(name, x.contiguous())


def _is_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu"


def _from_triton(tensor: Any) -> Tensor:
    if tensor.is_cpu():
        return torch.from_numpy(tensor.as_numpy())
    return from_dlpack(tensor)
