"""Regions of a photo in tensors: those found with numpy, with few waits for the device.

The tensors are on the CPU here; on a GPU the same code runs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from photoreal import arrays
from photoreal.arrays import batches, median, sums_by_key, to_host
from photoreal.regions import clusters
from photoreal.regions.classes import GROUPS, SKY
from photoreal.regions.features import region_features
from photoreal.regions.joining import join_clusters
from photoreal.regions.soft import find_regions, mask_regions, normalize_weights
from tests.shared import Array, region_order
from tests.unit.networks.work import count_work

pytestmark = pytest.mark.slow

VEGETATION = GROUPS.index("vegetation")


def _photo(height: int = 90, width: int = 120) -> Array:
    """A blue sky with a cloud over green land with a red square, all with some grain."""
    y, x = np.mgrid[:height, :width]
    photo = np.where(y < height // 2, np.array([0.4, 0.6, 0.9])[:, None, None], 0.0)
    photo += np.where(y >= height // 2, np.array([0.2, 0.4, 0.1])[:, None, None], 0.0)
    photo[:, (y - 20) ** 2 + (x - 40) ** 2 < 90] = 0.85
    photo[:, (abs(y - 65) < 8) & (abs(x - 80) < 9)] = np.array([0.8, 0.1, 0.1])[:, None]
    photo += 0.02 * np.random.default_rng(0).standard_normal(photo.shape)
    return np.clip(photo, 0.0, 1.0).astype(np.float32)


def _probabilities(sure: float = 0.9) -> Array:
    """Sky above vegetation, with a hole in the sky."""
    planes = np.full((len(GROUPS), 12, 15), (1.0 - sure) / len(GROUPS), dtype=np.float32)
    planes[SKY, :6] += sure
    planes[VEGETATION, 6:] += sure
    planes[[SKY, VEGETATION], 2:4, 4:7] = planes[[VEGETATION, SKY], 2:4, 4:7]
    return planes


KNOWLEDGE: dict[str, Callable[[], Array | None]] = {
    "sure": _probabilities,
    "unsure": lambda: _probabilities(0.3),
    "zero": lambda: 0.0 * _probabilities(),
    "none": lambda: None,
}


@pytest.mark.parametrize("size", [(90, 120), (320, 200)])
@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_regions_agree(knowledge: str, size: tuple[int, int]) -> None:
    photo, probabilities = _photo(*size), KNOWLEDGE[knowledge]()
    expected, plan = find_regions(photo, probabilities)
    for known in (None, plan):
        found, own = find_regions(torch.from_numpy(photo), probabilities, known)
        weights = to_host(found.weights)
        order = region_order(weights, expected.weights)
        assert {info.name for info in own.infos} == {info.name for info in plan.infos}
        np.testing.assert_allclose(weights[order], expected.weights, atol=5e-3)
        np.testing.assert_allclose(found.traits[order], expected.traits, atol=2e-3)
    assert own is plan
    assert (found.labels == expected.labels).mean() > 0.999


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_features_agree(knowledge: str) -> None:
    photo, probabilities = _photo(), KNOWLEDGE[knowledge]()
    expected = region_features(photo, probabilities)
    found = region_features(torch.from_numpy(photo), probabilities)
    for name in ("guide", "classes", "height", "texture"):
        np.testing.assert_allclose(
            to_host(getattr(found, name)), getattr(expected, name), atol=2e-4, err_msg=name
        )
    np.testing.assert_allclose(to_host(found.color), expected.color, atol=1e-3)
    for name in ("rank", "depth"):  # rounding may exchange two ranks, or add to a step
        apart = np.abs(to_host(getattr(found, name)) - getattr(expected, name))
        assert apart.max() < 5e-3, name


def test_clusters_agree() -> None:
    features = region_features(_photo(), _probabilities())
    values = features.for_clusters()
    centers = clusters.find_centers(values)
    found = clusters.find_centers(torch.from_numpy(values))
    assert found.shape == centers.shape
    assert np.abs(found[:, None] - centers).max(axis=2).min(axis=0).max() < 1e-4
    shares = clusters.memberships(values, centers)
    found = clusters.memberships(torch.from_numpy(values), centers)
    np.testing.assert_allclose(to_host(found), shares, atol=1e-4)
    groups = [0, 1, 0, -1, 1, 0][: len(centers)]
    joined = clusters.joined(shares, groups)
    np.testing.assert_allclose(to_host(clusters.joined(found, groups)), joined, atol=1e-4)
    planes = shares.reshape(-1, *features.rank.shape)
    given = planes, features.classes, features.color
    planes, chances, color = (torch.from_numpy(np.ascontiguousarray(one)) for one in given)
    assert join_clusters(planes, chances, color) == join_clusters(*given)


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_planes_come_in_batches(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU computes as many planes at once as there is memory for; the result is the same."""
    photo = _photo()
    monkeypatch.setattr(arrays, "PLANES_PIXELS", at_once * photo[0].size)
    labels = np.arange(90 * 120).reshape(90, 120) // 2160
    expected = mask_regions(labels.astype(np.uint8), (), photo, edges=True)
    found = mask_regions(labels.astype(np.uint8), (), torch.from_numpy(photo), edges=True)
    np.testing.assert_allclose(to_host(found.weights), expected.weights, atol=5e-3)
    tensor = torch.from_numpy(photo)
    assert len(batches(5, photo[0].size, tensor)) == -(-5 // at_once)
    assert len(batches(5, photo[0].size, photo)) == 5


def test_pixels_that_nobody_wants_go_to_the_same_region() -> None:
    weights = np.random.default_rng(0).random((3, 20, 30), dtype=np.float32)
    weights[:, :5] *= 0.01
    weights[:, 5:8] = 0.0
    found = normalize_weights(torch.from_numpy(weights), 0.75)
    np.testing.assert_allclose(to_host(found), normalize_weights(weights, 0.75), atol=1e-6)


def test_array_functions_are_numpys() -> None:
    values = np.random.default_rng(0).random(101, dtype=np.float32)
    for some in (values, values[:100]):
        assert float(median(torch.from_numpy(some))) == pytest.approx(float(np.median(some)))
    keys = np.random.default_rng(1).integers(0, 7, 101)
    found = sums_by_key(torch.from_numpy(keys), torch.from_numpy(values), 9)
    np.testing.assert_allclose(to_host(found), sums_by_key(keys, values, 9))


def test_a_photo_takes_few_waits_and_launches() -> None:
    """Region by region and plane by plane it would take 46 and 1200."""
    photo, probabilities = torch.from_numpy(_photo(320, 200)), _probabilities()
    with count_work() as work:
        find_regions(photo, probabilities)
    assert 0 < work.synchronizations <= 17
    assert 0 < work.launches <= 540
