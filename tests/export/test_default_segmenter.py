"""The segmenter that comes with photoreal, as an ONNX model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from photoreal import contract
from photoreal.export.onnx import CHECKED, TRACED, check_onnx, export_onnx
from photoreal.export.wrappers import Labels
from photoreal.serve.backend.onnxruntime.session import open_session
from photoreal.weights.segmenters import DEFAULT_SEGMENTER, load_segmenter
from tests.kinds import TempFolders

SIZES = [(1, 100, 148), (2, 75, 50), (1, 33, 91)]
"""Batch, height and width of pictures that neither the trace nor the check has seen."""


@pytest.fixture(scope="module")
def network() -> Labels:
    return Labels(load_segmenter(DEFAULT_SEGMENTER)[0]).eval()


@pytest.fixture(scope="module")
def file(network: Labels, tmp_path_factory: TempFolders) -> Path:
    path = tmp_path_factory.mktemp("default") / "model.onnx"
    export_onnx(network, contract.SEGMENTER, path, "fp32")
    return path


def test_default_segmenter_passes_the_check_of_the_export(network: Labels, file: Path) -> None:
    assert check_onnx(network, contract.SEGMENTER, file, "fp32") < 1e-3


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_default_segmenter_gives_the_network_s_numbers(
    size: tuple[int, int, int], network: Labels, file: Path
) -> None:
    assert not set(SIZES) & {TRACED, *CHECKED}
    batch, height, width = size
    rows = torch.linspace(0, 6, height).view(-1, 1)
    columns = torch.linspace(0, 4, width)
    planes = [0.5 + 0.5 * torch.sin((k + 1) * rows + columns + k) for k in range(3 * batch)]
    pictures = torch.stack(planes).view(batch, 3, height, width)
    with torch.inference_mode():
        labels, probabilities = network(pictures)
    names = contract.SEGMENTER.output_names()
    found = open_session(file).run(names, {"IMAGE": pictures.numpy()})
    assert np.mean(found[0] == labels.numpy()) > 0.999  # rounding may tip a pixel
    np.testing.assert_allclose(found[1], probabilities.numpy(), atol=1e-4)
