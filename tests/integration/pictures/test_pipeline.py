"""`photoreal.Pipeline` gives what a server gives."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from photoreal import Pipeline
from photoreal.client import RequestRejected, StyleTransferClient
from photoreal.cores import available_cores
from photoreal.errors import InvalidRequest
from photoreal.networks.fast.kernels import CONVOLUTION_VARIABLE
from photoreal.preprocess import Limits
from photoreal.serve.launch.embedded import embedded_server
from photoreal.serve.launch.launcher import Server
from tests.kinds import PairFiles, Stylize, TempFolders

pytestmark = pytest.mark.server

SIZE = 64
MODELS = Path(__file__).parents[3] / "model_repository"
OPTIONS: dict[str, dict[str, Any]] = {
    "wct2": {},
    "color": {"method": "color"},
    "published": {"method": "published"},
    "options": {"alpha": 0.7, "output_size": 100},
}


@pytest.fixture(scope="module")
def _one_kernel() -> Iterator[None]:
    """Each process would choose the convolution that it finds faster, and they round unlike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONVOLUTION_VARIABLE, "direct")
        yield


@pytest.fixture(scope="module")
def client(_one_kernel: None, tmp_path_factory: TempFolders) -> Iterator[StyleTransferClient]:
    """A client of a server without exported networks, as it is before `photoreal export`."""
    folder = tmp_path_factory.mktemp("bare") / "repository"
    ignore = shutil.ignore_patterns("*.onnx", "*.pt", "*.plan", "labels.txt", "__pycache__")
    shutil.copytree(MODELS, folder, ignore=ignore)
    with embedded_server(folder) as server, StyleTransferClient(server.http_url) as client:
        yield client


@pytest.fixture(scope="module")
def pipeline(_one_kernel: None) -> Pipeline:
    """With the server's limits: its own read more formats."""
    return Pipeline(device="cpu", segmenter=None, limits=Limits())


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("masked", [True, False], ids=["masks", "whole"])
def test_same_bytes(
    client: StyleTransferClient, pair: PairFiles, pipeline: Pipeline, name: str, masked: bool
) -> None:
    files, options = pair("lake-dusk"), OPTIONS[name] | {"size": SIZE}
    if not masked:
        files = {role: file for role, file in files.items() if not role.endswith("mask")}
    torch.set_num_threads(available_cores())  # as the server has: sums are split between them
    ours, theirs = (one.stylize(**files, **options, labels=True) for one in (pipeline, client))
    assert ours.png == theirs.png
    assert ours.content_labels_png == theirs.content_labels_png
    assert ours.style_labels_png == theirs.style_labels_png
    for result in (ours, theirs):
        for varying in ("seconds", "style"):
            result.report.pop(varying, None)
    assert ours.report == theirs.report


def test_same_refusals(client: StyleTransferClient, pair: PairFiles, pipeline: Pipeline) -> None:
    files = pair("lake-dusk")
    for wrong in ({"alpha": 2.0}, {"content": b"no photo"}, {"style_mask": files["content"]}):
        with pytest.raises(InvalidRequest) as ours:
            pipeline.stylize(**{**files, **wrong})
        with pytest.raises(RequestRejected) as theirs:
            client.stylize(**{**files, **wrong})
        assert str(ours.value) == str(theirs.value)


def test_same_regions_and_nearly_the_same_pixels_with_a_segmenter(
    local: Server, segmenter_folder: Path, stylize: Stylize, pair: PairFiles
) -> None:
    """The server's segmenter runs in ONNX Runtime, which rounds in its own way."""
    files = {role: file for role, file in pair("lake-dusk").items() if not role.endswith("mask")}
    pipeline = Pipeline(device="cpu", segmenter=segmenter_folder)
    for method in ("wct2", "color"):
        options = {**files, "size": SIZE, "method": method, "labels": True, "format": "png"}
        ours, theirs = pipeline.stylize(**options), stylize(local, **options)
        assert ours.content_labels_png == theirs.content_labels_png
        pixels, others = (np.asarray(one.image).astype(int) for one in (ours, theirs))
        assert np.abs(pixels - others).max() <= 1
        assert np.mean(pixels != others) < 1e-3
