"""Manifest of published weights: URLs, sha256 sums, license, preprocessing."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.contract import UNPOOLS


@dataclass(frozen=True)
class WeightFile:
    """One file of a set; `sha256` is None where the sum is not known beforehand."""

    name: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class WeightSet:
    """One published set of weights."""

    name: str
    files: tuple[WeightFile, ...]
    source: str
    licence: str
    preprocessing: str


def wct2_file(network: str, unpool: str) -> str:
    """Published name of the checkpoint of "encoder" or "decoder"."""
    return f"wave_{network}_{unpool}_l4.pth"


SEGMENTER_FILES = ("encoder_epoch_20.pth", "decoder_epoch_20.pth")

_WCT2_URL = "https://github.com/clovaai/WCT2/raw/master/model_checkpoints"
_ADE20K_URL = "http://sceneparsing.csail.mit.edu/model/pytorch/ade20k-resnet50dilated-ppm_deepsup"

WCT2 = WeightSet(
    name="wct2",
    files=tuple(
        WeightFile(name, f"{_WCT2_URL}/{name}")
        for unpool in UNPOOLS
        for name in (wct2_file("encoder", unpool), wct2_file("decoder", unpool))
    ),
    source="clovaai/WCT2 (Yoo et al., ICCV 2019)",
    licence="MIT",
    preprocessing="RGB in 0..1; the first convolution normalises",
)

ADE20K = WeightSet(
    name="ade20k",
    files=tuple(WeightFile(name, f"{_ADE20K_URL}/{name}") for name in SEGMENTER_FILES),
    source="CSAILVision semantic-segmentation-pytorch (Zhou et al., CVPR 2017)",
    licence="BSD-3-Clause for the code; trained on ADE20K (non-commercial research use)",
    preprocessing="RGB in 0..1, normalised with ImageNet's mean and standard deviation (inside)",
)
