"""WCT2's encoder and decoder: VGG-19 up to conv4_1 with Haar pooling, level by level.

Yoo et al., "Photorealistic Style Transfer via Wavelet Transforms", ICCV 2019, section 3 and
figure 2. Parameters have the names of the published checkpoints (``conv1_1.weight`` ...); the
Haar filters, which are constants in the checkpoints, are code here (`photoreal.networks.wavelet`).

Every 3x3 convolution uses reflection padding. Images are RGB in 0..1. Heights and widths are
multiples of 8 (`photoreal.contract.PADDING_MULTIPLE`) and at least 16, since the smallest
feature map must be large enough for reflection padding.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from photoreal.contract import CHANNELS, LEVELS, Unpool
from photoreal.networks import wavelet
from photoreal.networks.fast import kernels, sparse


class Skips(NamedTuple):
    """Skip connections from a pooling to its unpooling.

    The bands are (N, C, H/2, W/2); the original features before pooling (N, C, H, W) are
    present for "cat5" only.
    """

    LH: Tensor
    HL: Tensor
    HH: Tensor
    original: Tensor | None


class Encoded(NamedTuple):
    """Output of an encoder level: its features, and the skips if it pools."""

    features: Tensor
    skips: Skips | None


_POOL = "pool"
_UNPOOL = "unpool"

# The two published variants split the same chain of layers at different points; features are
# transformed at these points.
_ENCODER_STEPS: dict[Unpool, dict[int, tuple[str, ...]]] = {
    "cat5": {
        1: ("conv0", "conv1_1"),
        2: ("conv1_2", _POOL, "conv2_1"),
        3: ("conv2_2", _POOL, "conv3_1"),
        4: ("conv3_2", "conv3_3", "conv3_4", _POOL, "conv4_1"),
    },
    "sum": {
        1: ("conv0", "conv1_1", "conv1_2", _POOL),
        2: ("conv2_1", "conv2_2", _POOL),
        3: ("conv3_1", "conv3_2", "conv3_3", "conv3_4", _POOL),
        4: ("conv4_1",),
    },
}
_DECODER_STEPS: dict[int, tuple[str, ...]] = {
    4: ("conv4_1", _UNPOOL, "conv3_4", "conv3_3", "conv3_2"),
    3: ("conv3_1", _UNPOOL, "conv2_2"),
    2: ("conv2_1", _UNPOOL, "conv1_2"),
    1: ("conv1_1",),
}
_AFTER_UNPOOL = ("conv3_4", "conv2_2", "conv1_2")
_LEAST_REACH = 0.02
"""Share of the result below which the features of a level are not worth computing."""
_NARROWING = {"conv4_1": CHANNELS[3], "conv3_1": CHANNELS[2], "conv2_1": CHANNELS[1], "conv1_1": 3}


def _channels(name: str) -> int:
    """Number of channels of a convolution; the digit after "conv" is its level."""
    return CHANNELS[int(name[4])]


class _Network(nn.Module):
    """A chain of layers, with shortcuts derived from their parameters."""

    def __init__(self, unpool: Unpool) -> None:
        super().__init__()
        self.unpool = unpool
        self._known: dict[str, sparse.Layer] = {}
        # Parameters change only by loading, so derived data is updated after each load.
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda network, _: network._derive()
        )

    def _derive(self) -> None:
        found = {
            name: sparse.examine(layer.weight, layer.bias)
            for name, layer in self.named_children()
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
        }
        self._known = {name: layer for name, layer in found.items() if layer is not None}

    def _convolution(self, name: str) -> nn.Conv2d:
        module = self.get_submodule(name)
        assert isinstance(module, nn.Conv2d)  # noqa: S101 (for the type checker)
        return module

    def _convolve(
        self, name: str, x: Tensor, *, relu: bool = True, rectified: bool = False
    ) -> Tensor:
        layer, known = self._convolution(name), self._known.get(name)
        return sparse.convolve(x, layer.weight, layer.bias, known, relu=relu, rectified=rectified)


class Encoder(_Network):
    """The encoder, callable level by level; the split into levels depends on `unpool`."""

    def __init__(self, unpool: Unpool = "cat5") -> None:
        super().__init__(unpool)
        self.conv0 = nn.Conv2d(3, 3, kernel_size=1)
        channels = 3
        for level in LEVELS:
            for name in _ENCODER_STEPS[unpool][level]:
                if name not in (_POOL, "conv0"):
                    self.add_module(name, nn.Conv2d(channels, _channels(name), 3))
                    channels = _channels(name)

    def level(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4.

        Level 1 takes images (N, 3, H, W) in 0..1, the others the features of the previous level.
        Output shapes are those of `photoreal.contract.encoder`.
        """
        skips, rectified = None, False
        for name in _ENCODER_STEPS[self.unpool][level]:
            if name == _POOL:
                bands = wavelet.pool(x)
                original = x if self.unpool == "cat5" else None
                x, skips = bands.LL, Skips(bands.LH, bands.HL, bands.HH, original)
            elif name == "conv0":
                x = self.conv0(x)
            else:
                x = self._convolve(name, x, rectified=rectified)
                rectified = True
        return Encoded(x, skips)


class Decoder(_Network):
    """The decoder, callable level by level, from 4 down to 1.

    `unpool` is "cat5" (the paper's concatenation of the four unpooled bands and the encoder's
    original features) or "sum" (the sum of the bands).
    """

    def __init__(self, unpool: Unpool = "cat5") -> None:
        super().__init__(unpool)
        self._gains: dict[str, tuple[float, ...] | None] = {}
        self._aligned: dict[str, Tensor] = {}
        for level in reversed(LEVELS):
            for name in _DECODER_STEPS[level]:
                if name in _AFTER_UNPOOL:
                    stacked = 5 if unpool == "cat5" else 1
                    channels = _channels(name)
                    convolution = nn.Conv2d(stacked * channels, channels, 3)
                    self.add_module(self.join_name(name), convolution)
                elif name != _UNPOOL:
                    outputs = _NARROWING.get(name, _channels(name))
                    self.add_module(name, nn.Conv2d(_channels(name), outputs, 3))
        if unpool == "cat5":
            self._fold()

    def _derive(self) -> None:
        super()._derive()
        if self.unpool == "cat5":
            self._fold()

    def _fold(self) -> None:
        """Derive the kernels with folded unpooling, and the kernels for the original features."""
        self._aligned = {}  # computed lazily: not every kernel needs them
        for name in map(self.join_name, _AFTER_UNPOOL):
            join = self._convolution(name)
            outputs, stacked = join.weight.shape[:2]
            weight = join.weight.detach().reshape(outputs, 5, stacked // 5, 3, 3)
            self._gains[name] = sparse.join_gains(weight)
            kernel = wavelet.fold_unpooling(weight[:, :4])
            self.register_buffer(f"{name}_folded", kernel, persistent=False)
            original = weight[:, 4].contiguous()
            self.register_buffer(f"{name}_original", original, persistent=False)

    @property
    def depth(self) -> int:
        """The deepest level with a noticeable effect on the result: 4 unless the weights say less.

        The built-in weights join the unpooled bands to the original features in fixed shares, so
        a level counts by the product of the shares above it.
        """
        convolutions = [layer for layer in self.children() if isinstance(layer, nn.Conv2d)]
        if len(self._known) < len(convolutions):
            return LEVELS[-1]
        reach = 1.0
        for level, name in zip(LEVELS, reversed(_AFTER_UNPOOL), strict=False):
            gains = self._gains.get(self.join_name(name))
            if gains is None:
                return LEVELS[-1]
            reach *= max(map(abs, gains[:-1]))
            if reach < _LEAST_REACH:
                return level
        return LEVELS[-1]

    def join_name(self, name: str) -> str:
        """Published name of a convolution that follows an unpooling."""
        return f"{name}_2" if self.unpool == "cat5" else name

    def level(self, level: int, x: Tensor, skips: Skips | None = None) -> Tensor:
        """Run decoder level 4..1.

        Levels 4, 3 and 2 take the skips of the corresponding pooling and return features at twice
        the size; level 1 returns images (N, 3, H, W), not clipped to 0..1. Shapes are those of
        `photoreal.contract.decoder`.
        """
        if level == 1:
            return self._convolve("conv1_1", x, relu=False)
        steps = _DECODER_STEPS[level]
        cut = steps.index(_UNPOOL)
        if skips is None:
            raise ValueError(f"decoder level {level} needs the skips of the pooling it undoes")
        for name in steps[:cut]:
            x = self._convolve(name, x)
        x = self._join(self.join_name(steps[cut + 1]), x, skips)
        for name in steps[cut + 2 :]:
            x = self._convolve(name, x, rectified=True)
        return x

    def _join(self, name: str, low: Tensor, skips: Skips) -> Tensor:
        """Unpool, convolve and apply ReLU."""
        bands = wavelet.Bands(low, skips.LH, skips.HL, skips.HH)
        if skips.original is None:
            return self._convolve(name, wavelet.unpool(bands))
        folded, weight = (self.get_buffer(f"{name}_{part}") for part in ("folded", "original"))
        known, gains = self._known.get(name), self._gains[name]
        bias = None if known is not None and not known.biased else self._convolution(name).bias
        if gains is not None and kernels.computes(skips.original, weight):
            return wavelet.join_scaled(bands, skips.original, gains, bias)
        if kernels.uses_winograd(skips.original, weight) and kernels.uses_winograd(low, folded):
            if name not in self._aligned:
                self._aligned[name] = wavelet.align_phases(folded)
            aligned = self._aligned[name]
            return wavelet.convolve_joined_by_winograd(bands, skips.original, aligned, weight, bias)
        return wavelet.convolve_joined(bands, skips.original, folded, weight, bias)
