"""Both networks against the numbers of the published code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from photoreal.contract import UNPOOLS
from photoreal.networks.segmenter import Segmenter
from photoreal.transfer.progressive import NetworkEngine
from photoreal.weights.checkpoint import load_parameters
from photoreal.weights.networks import load_wct2
from tests.reference_cases import DATA, TOLERANCE, case_arrays, case_error, cases, seeded_state
from tests.shared import seeded_engine

pytestmark = pytest.mark.slow

CASES = cases()
ARRAYS = case_arrays()


def _name(case: dict[str, Any]) -> str:
    return f"{case['case']}-{case['unpool']}-{'+'.join(case['transfer_at'])}-{case['alpha']}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_transfer_gives_the_published_numbers(case: dict[str, Any]) -> None:
    assert case_error(case, ARRAYS, seeded_engine(case["unpool"])) <= TOLERANCE


def test_there_are_nine_cases_of_both_kinds() -> None:
    assert [case["case"] for case in CASES] == list(range(9))
    assert {case["unpool"] for case in CASES} == set(UNPOOLS)


@pytest.mark.parametrize("case", [CASES[0], CASES[6]], ids=_name)
def test_a_folder_of_published_files_gives_the_published_numbers(
    case: dict[str, Any], tmp_path: Path
) -> None:
    for network in ("encoder", "decoder"):
        name = f"wave_{network}_{case['unpool']}_l4.pth"
        torch.save(seeded_state(name), tmp_path / name)
    engine = NetworkEngine(*load_wct2(tmp_path, case["unpool"]))
    assert case_error(case, ARRAYS, engine) <= TOLERANCE


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    network = Segmenter()
    for part in ("encoder", "decoder"):
        file = f"{part}_epoch_20.pth"
        load_parameters(network.get_submodule(part), seeded_state(file), file)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("case", range(3))
def test_segmenter_gives_the_published_numbers(case: int, segmenter: Segmenter) -> None:
    with np.load(DATA / "segmenter" / "cases.npz") as archive:
        arrays = {name: archive[name] for name in archive if name.startswith(f"c{case}_")}
    picture = torch.from_numpy(arrays[f"c{case}_image"]).permute(2, 0, 1)[None].float() / 255
    probabilities = segmenter(picture).softmax(dim=1)[0, :, ::8, ::8].numpy()
    expected = arrays[f"c{case}_probabilities_every_8th_pixel"]
    assert probabilities.shape == expected.shape
    assert np.abs(probabilities - expected).max() <= 1e-2

    labels = segmenter.labels(picture)[0].numpy()
    sure = arrays[f"c{case}_margin"] > 0.05
    assert sure.any()
    np.testing.assert_array_equal(labels[sure], arrays[f"c{case}_labels"][sure])
