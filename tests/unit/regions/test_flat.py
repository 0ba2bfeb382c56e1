"""Class probabilities are pooled over flat zones of a photo."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photoreal.arrays import to_host
from photoreal.regions.flat import flat_zones, pool_flat_zones
from tests.shared import Array

HEIGHT, WIDTH = 40, 60


def night() -> Array:
    """CIELAB of a dark sky that brightens slowly, over 20 rows, above a rough city."""
    color = np.zeros((3, HEIGHT, WIDTH), dtype=np.float32)
    color[0, :20] = 5 + np.arange(20)[:, None]
    color[0, 20:] = np.random.default_rng(0).uniform(0, 100, (20, WIDTH))
    return color


def doubtful(spread: float) -> Array:
    """Probabilities (2, h, w): the sky's falls from left to right."""
    sky = np.broadcast_to(np.linspace(0.5 + spread, 0.5 - spread, WIDTH), (HEIGHT, WIDTH))
    planes: Array = np.stack([sky, 1 - sky]).astype(np.float32)
    return planes


def test_a_flat_zone_takes_the_mean_and_the_rest_keeps_its_own() -> None:
    given = doubtful(0.2)
    found = pool_flat_zones(given, flat_zones(night()))
    inside = found[:, :19]  # the last row of the sky borders on the city
    assert np.ptp(inside, axis=(1, 2)).max() < 1e-6
    np.testing.assert_allclose(inside, 0.5, atol=1e-3)
    np.testing.assert_array_equal(found[:, 21:], given[:, 21:])
    np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-6)


def test_clear_disagreement_is_kept() -> None:
    given = doubtful(0.5)
    np.testing.assert_allclose(pool_flat_zones(given, flat_zones(night())), given, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_the_larger_the_zone_the_more_it_is_pooled(rows: int) -> None:
    color = np.random.default_rng(0).uniform(0, 100, (3, HEIGHT, WIDTH)).astype(np.float32)
    color[:, : rows + 1] = 50.0
    given = doubtful(0.2)
    found = pool_flat_zones(given, flat_zones(color))
    share = 1 - np.ptp(found[0, 0]) / np.ptp(given[0, 0])
    area = rows * WIDTH / (HEIGHT * WIDTH)
    assert share == pytest.approx(np.interp(area, (0.02, 0.04), (0.0, 1.0)), abs=1e-5)


def test_tensors_give_the_same() -> None:
    given, zones = doubtful(0.3), flat_zones(night())
    found = to_host(pool_flat_zones(torch.from_numpy(given), zones))
    np.testing.assert_allclose(found, pool_flat_zones(given, zones), atol=1e-6)
