"""The segmenter against the numbers of the published code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.networks.segmenter import Segmenter
from photoreal.weights.checkpoint import load_parameters

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def arrays(data_folder: Path) -> dict[str, npt.NDArray[Any]]:
    with np.load(data_folder / "segmenter" / "cases.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def segmenter(seeded_state: Callable[[str], dict[str, Tensor]]) -> Segmenter:
    network = Segmenter()
    for part in ("encoder", "decoder"):
        file = f"{part}_epoch_20.pth"
        load_parameters(network.get_submodule(part), seeded_state(file), file)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("case", range(3))
def test_segmenter_gives_the_published_numbers(
    case: int, arrays: dict[str, npt.NDArray[Any]], segmenter: Segmenter
) -> None:
    picture = torch.from_numpy(arrays[f"c{case}_image"]).permute(2, 0, 1)[None].float() / 255
    scores = segmenter(picture)
    probabilities = scores.softmax(dim=1)[0, :, ::8, ::8].numpy()
    expected = arrays[f"c{case}_probabilities_every_8th_pixel"]
    assert probabilities.shape == expected.shape
    assert np.abs(probabilities - expected).max() <= 1e-2

    labels = segmenter.labels(picture)[0].numpy()
    sure = arrays[f"c{case}_margin"] > 0.05
    assert sure.any()
    np.testing.assert_array_equal(labels[sure], arrays[f"c{case}_labels"][sure])


def test_entry_names_and_shapes_are_the_published_ones(
    published_shapes: dict[str, dict[str, list[int]]],
) -> None:
    network = Segmenter()
    for part in ("encoder", "decoder"):
        own = network.get_submodule(part).state_dict()
        published = published_shapes[f"{part}_epoch_20.pth"]
        assert {name: list(value.shape) for name, value in own.items()} == {
            name: shape
            for name, shape in published.items()
            if not name.endswith(("_tmp_running_mean", "_tmp_running_var", "_running_iter"))
        }
