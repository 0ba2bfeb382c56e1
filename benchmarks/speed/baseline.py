"""WCT2 in plain PyTorch as the baseline: the published computation, without optimization.

Yoo et al., "Photorealistic Style Transfer via Wavelet Transforms", ICCV 2019: VGG-19 with Haar
pooling (section 3.1), the decoder convolving the four unpooled bands and the original features
side by side, and whitening and coloring (Li et al., NIPS 2017) region by region after each
encoder level, on the high bands and after each decoder level (section 3.2). Every convolution is
one `conv2d`, every decomposition one `svd`, and each region's pixels are gathered again for mean,
covariance and application. Only the parameters come from this project's networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from pictures import Inputs
from torch import Tensor
from torch.nn import functional as F

from photoreal.contract import LEVELS
from photoreal.networks.vgg import Decoder, Encoded, Encoder, Skips
from photoreal.pipeline.request import FloatImage
from photoreal.regions import LabelMap, Pair, resize_labels

_MULTIPLE = 8  # three poolings by a factor of two

_ENCODER: tuple[tuple[str, ...], ...] = (
    ("conv1_1",),
    ("conv1_2", "pool", "conv2_1"),
    ("conv2_2", "pool", "conv3_1"),
    ("conv3_2", "conv3_3", "conv3_4", "pool", "conv4_1"),
)
_DECODER: tuple[tuple[str, ...], ...] = (
    ("conv4_1", "conv3_4_2", "conv3_3", "conv3_2"),
    ("conv3_1", "conv2_2_2"),
    ("conv2_1", "conv1_2_2"),
    ("conv1_1",),
)


class Baseline:
    """Encoder, decoder and transform with the parameters of "cat5" networks.

    It is an `Engine` as well, for methods with another transform: one that runs every level.

    Raises ValueError for networks with another kind of unpooling.
    """

    depth = LEVELS[-1]

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        if encoder.unpool != "cat5" or decoder.unpool != "cat5":
            raise ValueError('The baseline supports only the unpooling "cat5".')
        self._encoder, self._decoder = (dict(one.named_parameters()) for one in (encoder, decoder))
        self._device = next(encoder.parameters()).device
        rows = torch.tensor([[1.0, 1.0], [-1.0, 1.0]], device=self._device)  # low, high
        self._haar = torch.stack([torch.outer(one, two) / 2 for one in rows for two in rows])

    @torch.inference_mode()
    def transfer(self, inputs: Inputs) -> Tensor:
        """The stylized content (3, H, W), not clipped, at strength 1 in every place."""
        content, labels = _padded(inputs.content, inputs.content_labels, self._device)
        style, style_labels = _padded(inputs.style, inputs.style_labels, self._device)

        def give(features: Tensor, source: Tensor) -> Tensor:
            return transform(features, source, labels, style_labels, inputs.pairs)

        skips: list[tuple[Skips | None, Skips | None]] = []
        for level in LEVELS:
            content, skip = self.encode(level, content)
            style, style_skip = self.encode(level, style)
            skips.append((skip, style_skip))
            content = give(content, style)
        for level in reversed(LEVELS):
            skip, style_skip = skips.pop()
            if skip is not None and style_skip is not None:
                high = [give(*pair) for pair in zip(skip[:3], style_skip[:3], strict=True)]
                skip = Skips(high[0], high[1], high[2], skip.original)
            content = self.decode(level, content, skip)
            if level > LEVELS[0]:
                style = self.decode(level, style, style_skip)
                content = give(content, style)
        height, width = inputs.content.shape[1:]
        return content[0, :, :height, :width]

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""
        skips = None
        x = _convolve(self._encoder, "conv0", x) if level == 1 else x
        for name in _ENCODER[level - 1]:
            if name == "pool":
                low, *bands = self._pool(x)
                skips, x = Skips(bands[0], bands[1], bands[2], x), low
            else:
                x = F.relu(_convolve(self._encoder, name, _reflected(x)))
        return Encoded(x, skips)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""
        for number, name in enumerate(_DECODER[-level]):
            if number == 1 and skips is not None:
                unpooled = [self._unpool(band, k) for k, band in enumerate((x, *skips[:3]))]
                assert skips.original is not None  # noqa: S101 (for the type checker)
                x = torch.cat([*unpooled, skips.original], dim=1)
            x = _convolve(self._decoder, name, _reflected(x))
            x = x if name == "conv1_1" else F.relu(x)
        return x

    def _pool(self, x: Tensor) -> list[Tensor]:
        channels = x.shape[1]
        filters = (self._filter(band, channels) for band in range(len(self._haar)))
        return [F.conv2d(x, one, stride=2, groups=channels) for one in filters]

    def _unpool(self, x: Tensor, band: int) -> Tensor:
        channels = x.shape[1]
        return F.conv_transpose2d(x, self._filter(band, channels), stride=2, groups=channels)

    def _filter(self, band: int, channels: int) -> Tensor:
        return self._haar[band].expand(channels, 1, 2, 2).contiguous()


def transform(
    content: Tensor, style: Tensor, labels: LabelMap, style_labels: LabelMap, pairs: Sequence[Pair]
) -> Tensor:
    """Content features (1, C, h, w), given the style's mean and covariance region by region.

    Label maps have the size of the pictures. A region that has no pixels at the features' size,
    in either picture, keeps its own features.
    """
    flat, source = content[0].flatten(1), style[0].flatten(1)
    small, style_small = (
        torch.from_numpy(resize_labels(own, *features.shape[2:]).ravel().copy()).to(flat.device)
        for own, features in ((labels, content), (style_labels, style))
    )
    result = flat.clone()
    for pair in pairs:
        ours = torch.nonzero(small == pair.content)[:, 0]
        theirs = torch.arange(source.shape[1], device=flat.device)
        if pair.style is not None:
            theirs = torch.nonzero(style_small == pair.style)[:, 0]
        if ours.numel() == 0 or theirs.numel() == 0:
            continue
        mean, covariance = _moments(flat, ours)
        style_mean, style_covariance = _moments(source, theirs)
        whitening, coloring = _power(covariance, -0.5), _power(style_covariance, 0.5)
        region = flat.index_select(1, ours)
        colored = coloring @ (whitening @ (region - mean)) + style_mean
        result.index_copy_(1, ours, colored.clamp(region.min().item(), region.max().item()))
    return result.view_as(content)


def _moments(features: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C, 1), and covariance (C, C) plus the identity."""
    mean = features.index_select(1, indices).mean(dim=1, keepdim=True)
    centered = features.index_select(1, indices) - mean
    covariance = centered @ centered.T / max(indices.numel() - 1, 1)
    return mean, covariance + torch.eye(features.shape[0], device=features.device)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    left, values, right = torch.linalg.svd(matrix)
    powered: Tensor = (left * values.pow(exponent)) @ right
    return powered


def _convolve(parameters: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.conv2d(x, parameters[f"{name}.weight"], parameters[f"{name}.bias"])


def _reflected(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")


def _padded(picture: FloatImage, labels: LabelMap, device: torch.device) -> tuple[Tensor, LabelMap]:
    """Picture (1, 3, H, W) and labels, padded by reflection to multiples of 8."""
    height, width = labels.shape
    below, right = -height % _MULTIPLE, -width % _MULTIPLE
    image = torch.from_numpy(np.ascontiguousarray(picture)[None]).to(device)
    return (
        F.pad(image, (0, right, 0, below), mode="reflect"),
        np.pad(labels, ((0, below), (0, right)), mode="reflect"),
    )
