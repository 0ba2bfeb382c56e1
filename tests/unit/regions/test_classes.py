"""The groups of classes."""

from __future__ import annotations

import numpy as np
import pytest

from photoreal.errors import WeightsError
from photoreal.regions import MAX_REGIONS
from photoreal.regions.classes import ADE20K, GROUPS, KINSHIP, group_probabilities, group_table
from photoreal.train.tables import CLASSES
from tests.shared import Array, refused


@pytest.mark.parametrize(
    ("index", "name", "group"),
    [
        (0, "wall", "interior"),
        (1, "building", "building"),
        (2, "sky", "sky"),
        (4, "tree", "vegetation"),
        (6, "road", "ground"),
        (12, "person", "person"),
        (16, "mountain", "terrain"),
        (20, "car", "vehicle"),
        (21, "water", "water"),
        (26, "sea", "water"),
        (82, "light", "light"),
        (126, "animal", "animal"),
        (149, "flag", "building"),
    ],
)
def test_classes_are_in_the_benchmark_s_order_and_in_their_group(
    index: int, name: str, group: str
) -> None:
    assert ADE20K[index] == name
    assert GROUPS[group_table(ADE20K)[index]] == group


def test_every_group_but_other_has_a_class_and_few_classes_are_other() -> None:
    assert len(set(ADE20K)) == len(ADE20K) == 150
    assert all(name == name.strip() and name for name in ADE20K)
    table = group_table(ADE20K)[:150]
    assert set(table.tolist()) == set(range(len(GROUPS)))
    assert {ADE20K[i] for i in np.flatnonzero(table == GROUPS.index("other"))} == {"ball", "food"}


def test_a_class_with_a_group_s_name_belongs_to_it() -> None:
    table = group_table(GROUPS)
    assert table.dtype == np.uint8
    # labels beyond the names are "other"
    np.testing.assert_array_equal(table, np.pad(np.arange(len(GROUPS)), (0, 256 - len(GROUPS))))


def _probabilities(count: int) -> Array:
    planes: Array = np.random.default_rng(count).random((count, 5, 7), dtype=np.float32)
    planes /= planes.sum(axis=0)
    return planes


def test_names_that_no_group_claims_and_too_many_are_refused() -> None:
    with refused(WeightsError, "unknown: gargoyle"):
        group_table(["sky", "gargoyle"])
    with refused(WeightsError, "unknown: gargoyle"):
        group_probabilities(_probabilities(2), ("sky", "gargoyle"))
    with refused(WeightsError, "257 classes; at most 256"):
        group_table(["sky"] * 257)


@pytest.mark.parametrize("names", [ADE20K, CLASSES, ("sky",)], ids=["150", "7", "1"])
def test_a_group_is_as_likely_as_its_classes_together(names: tuple[str, ...]) -> None:
    given = _probabilities(len(names))
    found = group_probabilities(given, names)
    assert found.shape == (len(GROUPS), 5, 7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    table = group_table(names)
    for label in range(len(GROUPS)):
        members = [plane for i, plane in enumerate(given) if table[i] == label]
        np.testing.assert_allclose(found[label], np.sum(members, axis=0), atol=1e-6)


def test_kin_are_other_groups_that_exist() -> None:
    assert len(GROUPS) <= MAX_REGIONS
    assert set(KINSHIP) == set(range(1, len(GROUPS)))  # "other" has no kin
    for label, kin in KINSHIP.items():
        assert kin
        assert len(set(kin)) == len(kin)
        assert set(kin) <= set(range(1, len(GROUPS))) - {label}
