"""Semantic segmenter: a dilated ResNet50 with pyramid pooling.

He et al., "Deep Residual Learning" (CVPR 2016), with the deep stem and the dilation (output
stride 8) of Zhao et al., "Pyramid Scene Parsing Network" (CVPR 2017), trained with deep
supervision. Parameters have the names of the published ADE20K checkpoints, with the same split
into encoder and decoder. The width and the number of classes are configurable.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photoreal.networks.pyramid import POOL_SIZES, PyramidPool, enlarged_and_convolved

MEAN = (0.485, 0.456, 0.406)
STANDARD_DEVIATION = (0.229, 0.224, 0.225)
EXPANSION = 4
BLOCKS = (3, 4, 6, 3)
FULL_WIDTH = 64


class Bottleneck(nn.Module):
    """Residual block of 1x1, 3x3 and 1x1 convolutions; the stride is in the 3x3 convolution."""

    def __init__(self, inputs: int, planes: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(
            planes, planes, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 4 planes, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Encoder(nn.Module):
    """Dilated ResNet50; `width` is the number of channels of its first layer (64 as published)."""

    def __init__(self, width: int = FULL_WIDTH) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 2 * width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * width)
        inputs = 2 * width
        # Layers 3 and 4 use dilation instead of stride, so features stay at an eighth.
        for index, (stride, first, rest) in enumerate(((1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 2, 4))):
            planes = width * 2**index
            blocks = []
            for block in range(BLOCKS[index]):
                blocks.append(
                    Bottleneck(
                        inputs,
                        planes,
                        stride=stride if block == 0 else 1,
                        dilation=first if block == 0 else rest,
                    )
                )
                inputs = planes * EXPANSION
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized images (N, 3, H, W) to the features of layers 3 and 4, at stride 8."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.get_submodule("layer2")(self.get_submodule("layer1")(x))
        third = self.get_submodule("layer3")(x)
        return third, self.get_submodule("layer4")(third)


class Decoder(nn.Module):
    """Pyramid pooling head with an auxiliary head for deep supervision."""

    def __init__(self, width: int = FULL_WIDTH, classes: int = 150) -> None:
        super().__init__()
        inputs, hidden = 8 * width * EXPANSION, 8 * width
        self.ppm = nn.ModuleList(
            nn.Sequential(
                PyramidPool(cells),
                nn.Conv2d(inputs, hidden, 1, bias=False),
                nn.BatchNorm2d(hidden),
                nn.ReLU(),
            )
            for cells in POOL_SIZES
        )
        self.cbr_deepsup = nn.Sequential(
            nn.Conv2d(inputs // 2, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
        )
        self.conv_last = nn.Sequential(
            nn.Conv2d(inputs + len(POOL_SIZES) * hidden, hidden, 3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.Conv2d(hidden, classes, 1),
        )
        self.conv_last_deepsup = nn.Conv2d(hidden, classes, 1)

    def forward(self, deepest: Tensor) -> Tensor:
        """Features of layer 4 (N, C, h, w) to class scores (N, classes, h, w)."""
        levels = [level(deepest) for level in self.ppm]
        weight = self.conv_last.get_submodule("0").get_parameter("weight")
        own, *theirs = torch.split(
            weight, [deepest.shape[1], *(level.shape[1] for level in levels)], dim=1
        )
        mixed = F.conv2d(deepest, own, padding=1)
        for level, its_own in zip(levels, theirs, strict=True):
            mixed = mixed + enlarged_and_convolved(level, its_own, deepest)
        scores: Tensor = self.conv_last[1:](mixed)
        return scores

    def deep_supervision(self, third: Tensor) -> Tensor:
        """Features of layer 3 (N, C, h, w) to auxiliary scores, used in training."""
        scores: Tensor = self.conv_last_deepsup(self.cbr_deepsup(third))
        return scores


class Segmenter(nn.Module):
    """Maps images to class scores, labels or probabilities; includes the normalization.

    `temperature` divides the scores before the softmax (Guo et al., "On Calibration of Modern
    Neural Networks", ICML 2017); 1 leaves them unchanged.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, width: int = FULL_WIDTH, classes: int = 150, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.encoder = Encoder(width)
        self.decoder = Decoder(width, classes)
        for name, values in (("mean", MEAN), ("deviation", STANDARD_DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """RGB images (N, 3, H, W) in 0..1 to scores (N, classes, H, W) before the softmax."""
        return self._enlarge(self.scores(images), images)

    def scores(self, images: Tensor) -> Tensor:
        """RGB images (N, 3, H, W) in 0..1 to scores (N, classes, H/8, W/8), sizes rounded up."""
        _, deepest = self.encoder((images - self.mean) / self.deviation)
        scores: Tensor = self.decoder(deepest)
        return scores

    def labels(self, images: Tensor) -> Tensor:
        """RGB images (N, 3, H, W) in 0..1 to the most probable classes (N, H, W) uint8."""
        return self.labels_and_probabilities(images)[0]

    def labels_and_probabilities(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Labels (N, H, W) uint8 and class probabilities (N, classes, H/8, W/8).

        Probabilities are calibrated by the temperature, which does not affect the labels.
        """
        scores = self.scores(images)
        labels = self._enlarge(scores, images).argmax(dim=1).to(torch.uint8)
        return labels, self._calibrated(scores)

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities (N, classes, H/8, W/8) alone."""
        return self._calibrated(self.scores(images))

    def _calibrated(self, scores: Tensor) -> Tensor:
        return (scores / self.temperature).softmax(dim=1)

    @staticmethod
    def _enlarge(scores: Tensor, images: Tensor) -> Tensor:
        return F.interpolate(scores, size=images.shape[2:], mode="bilinear", align_corners=False)
