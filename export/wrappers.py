"""Wrapper modules that give the networks flat tensor inputs and outputs, as served models need."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from photoreal.contract import BANDS, decoder, encoder
from photoreal.networks.segmenter import Segmenter
from photoreal.networks.vgg import Decoder, Encoder, Skips


class EncoderLevel(nn.Module):
    """One encoder level: features in, features and skips out, in the contract's order."""

    def __init__(self, network: Encoder, level: int) -> None:
        super().__init__()
        self.network, self._level = network, level
        self.spec = encoder(level, network.unpool)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, C, H, W) to the outputs of `photoreal.contract.encoder`."""
        features, skips = self.network.level(self._level, x)
        return (features,) if skips is None else (features, *(s for s in skips if s is not None))


class DecoderLevel(nn.Module):
    """One decoder level: features and skips in, features out."""

    def __init__(self, network: Decoder, level: int) -> None:
        super().__init__()
        self.network, self._level = network, level
        self.spec = decoder(level, network.unpool)

    def forward(self, x: Tensor, *skips: Tensor) -> tuple[Tensor, ...]:
        """Map the inputs of `photoreal.contract.decoder` to (N, C, H, W)."""
        if not skips:
            return (self.network.level(self._level, x),)
        original = skips[3] if len(skips) > len(BANDS) else None
        pooled = Skips(skips[0], skips[1], skips[2], original)
        return (self.network.level(self._level, x, pooled),)


class Labels(nn.Module):
    """The segmenter with normalization included: image in 0..1 to labels and probabilities."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map (N, 3, H, W) to labels (N, H, W) uint8, probabilities (N, classes, H/8, W/8)."""
        return self.network.labels_and_probabilities(x)


class Half(nn.Module):
    """A module that computes in half precision, with float32 inputs and outputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).half()  # the original is not changed

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Same shapes as the wrapped module; floating-point outputs are converted to float32."""
        outputs = self.module(*(tensor.half() for tensor in inputs))
        return tuple(out.float() if out.is_floating_point() else out for out in outputs)
