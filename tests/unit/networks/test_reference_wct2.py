"""WCT2 against the numbers of the published code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.contract import UNPOOLS, Unpool
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.transfer.progressive import Engine, NetworkEngine
from photoreal.weights.networks import load_wct2
from tests.reference_cases import TOLERANCE, case_arrays, case_error, cases

pytestmark = pytest.mark.slow

CASES = cases()

Networks = Callable[[Unpool], tuple[Encoder, Decoder]]


@pytest.fixture(scope="module")
def arrays() -> dict[str, npt.NDArray[Any]]:
    return case_arrays()


def _check(case: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], engine: Engine) -> None:
    assert case_error(case, arrays, engine) <= TOLERANCE


def _name(case: dict[str, Any]) -> str:
    return f"{case['case']}-{case['unpool']}-{'+'.join(case['transfer_at'])}-{case['alpha']}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_transfer_gives_the_published_numbers(
    case: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], seeded_networks: Networks
) -> None:
    _check(case, arrays, NetworkEngine(*seeded_networks(case["unpool"])))


@pytest.mark.parametrize("case", [CASES[0], CASES[6]], ids=_name)
def test_a_folder_of_published_files_gives_the_published_numbers(
    case: dict[str, Any],
    arrays: dict[str, npt.NDArray[Any]],
    seeded_state: Callable[[str], dict[str, Tensor]],
    tmp_path: Path,
) -> None:
    for network in ("encoder", "decoder"):
        name = f"wave_{network}_{case['unpool']}_l4.pth"
        torch.save(seeded_state(name), tmp_path / name)
    _check(case, arrays, NetworkEngine(*load_wct2(tmp_path, case["unpool"])))


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_entry_names_and_shapes_are_the_published_ones(
    unpool: Unpool, published_shapes: dict[str, dict[str, list[int]]]
) -> None:
    for network, module in (("encoder", Encoder(unpool)), ("decoder", Decoder(unpool))):
        published = published_shapes[f"wave_{network}_{unpool}_l4.pth"]
        learned = {name: shape for name, shape in published.items() if name.count(".") == 1}
        assert {n: list(value.shape) for n, value in module.state_dict().items()} == learned


def test_there_are_nine_cases_of_both_kinds() -> None:
    assert [case["case"] for case in CASES] == list(range(9))
    assert {case["unpool"] for case in CASES} == set(UNPOOLS)
