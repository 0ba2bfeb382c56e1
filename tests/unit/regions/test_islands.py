"""Parts of a region that no edge surrounds go to the regions around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photoreal.arrays import to_host
from photoreal.regions.islands import without_islands
from tests.shared import Array

HEIGHT, WIDTH = 60, 80
WINDOW = np.s_[:, :12]
STAIN = np.s_[20:30, 50:60]  # 2 % of the photo


def room(step: float) -> Array:
    """CIELAB of a wall with a window at the left and a square that differs by a step."""
    color = np.full((3, HEIGHT, WIDTH), [[[60.0]], [[2.0]], [[8.0]]], dtype=np.float32)
    color[0][WINDOW] += 30.0
    color[0][STAIN] += step
    return color


def regions(stain: tuple[slice, slice] = STAIN, sure: float = 0.9) -> Array:
    """Weights (3, h, w) of the wall, of the window with a stain on the wall, and of the floor."""
    labels = np.zeros((HEIGHT, WIDTH), dtype=int)
    labels[40:] = 2
    labels[WINDOW] = labels[stain] = 1
    planes: Array = np.where(labels == np.arange(3)[:, None, None], sure, (1 - sure) / 2)
    return planes.astype(np.float32)


def test_an_island_on_a_plain_wall_becomes_wall() -> None:
    given = regions()
    found = without_islands(given, room(0.0))
    np.testing.assert_allclose(found[(slice(None), *STAIN)][:, 5, 5], [0.95, 0.0, 0.05], atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-6)
    assert found.min() >= 0.0


def test_the_rest_of_its_region_stays() -> None:
    given = regions()
    found = without_islands(given, room(0.0))
    np.testing.assert_array_equal(found[:, :, :30], given[:, :, :30])


@pytest.mark.parametrize(
    ("case", "step", "stain"),
    [
        ("behind an edge", 10.0, STAIN),
        ("a tenth of the photo", 0.0, np.s_[10:30, 40:64]),
        ("two pixels", 0.0, np.s_[20:22, 50:51]),
    ],
)
def test_others_stay(case: str, step: float, stain: tuple[slice, slice]) -> None:
    given = regions(stain)
    np.testing.assert_array_equal(without_islands(given, room(step)), given, err_msg=case)


def test_the_more_of_its_border_is_hidden_the_more_is_given() -> None:
    color = room(0.0)
    weights = []
    for columns in range(11):  # of the ten above the stain
        color[0, 10:20, 50 : 50 + columns] = 90.0
        color[0, 30:38, 50 : 50 + columns] = 90.0
        weights.append(float(without_islands(regions(), color)[1, 25, 55]))
    assert weights[0] == pytest.approx(0.0)
    assert weights[-1] == pytest.approx(0.9)
    assert (np.diff(weights) >= -1e-6).all()
    assert np.diff(weights).max() < 0.3


def test_an_island_between_two_regions_goes_to_both() -> None:
    found = without_islands(regions(np.s_[35:45, 50:60]), room(0.0) * 0 + 50.0)
    wall, window, floor = found[:, 40, 55]
    assert wall == pytest.approx(floor) == pytest.approx(0.5)
    assert window == pytest.approx(0.0)


def test_tensors_give_the_same() -> None:
    given, color = regions(), room(0.0)
    found = to_host(without_islands(torch.from_numpy(given), torch.from_numpy(color)))
    np.testing.assert_allclose(found, without_islands(given, color), atol=1e-6)
