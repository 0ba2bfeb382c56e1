"""Soft regions: features, clusters, the regions of photos and masks, and their coupling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from photoreal.regions import MAX_REGIONS, clusters
from photoreal.regions.classes import GROUPS, SKY
from photoreal.regions.coupling import couple
from photoreal.regions.features import SIDE, border_distance, photo_doubt, region_features
from photoreal.regions.joining import join_clusters
from photoreal.regions.soft import (
    AREA_LABEL,
    SoftRegions,
    _solid_from,
    find_regions,
    interior,
    mask_regions,
    normalize_weights,
    whole_photo,
    without_small,
)
from tests.shared import Array

VEGETATION = GROUPS.index("vegetation")


def _photo(height: int, width: int, seed: int = 0) -> Array:
    """Blue above, a darker textured green below, and a red square in it."""
    half, side = height // 2, height // 6
    photo = np.empty((height, width, 3), dtype=np.float32)
    photo[:half], photo[half:] = (0.4, 0.6, 0.9), (0.2, 0.4, 0.1)
    random = np.random.default_rng(seed)
    photo[half:] += 0.05 * random.standard_normal((height - half, width, 1))
    photo[half + side : half + 2 * side, width // 2 : width // 2 + side] = (0.8, 0.1, 0.1)
    return np.clip(photo, 0.0, 1.0).transpose(2, 0, 1).copy()


def _probabilities(height: int, width: int, sure: float = 1.0) -> Array:
    """Of sky above and vegetation below; the rest is shared by all groups."""
    planes = np.full((len(GROUPS), height, width), (1.0 - sure) / len(GROUPS), dtype=np.float32)
    planes[SKY, : height // 2] += sure
    planes[VEGETATION, height // 2 :] += sure
    return planes


def _check(regions: SoftRegions, photo: Array) -> None:
    assert regions.weights.shape[1:] == photo.shape[1:]
    assert regions.weights.dtype == np.float32
    assert len(regions.weights) == len(regions.infos) == len(regions.traits)
    assert np.isfinite(regions.weights).all()
    assert np.isfinite(regions.traits).all()
    assert regions.weights.min() >= 0.0
    np.testing.assert_allclose(regions.weights.sum(axis=0), 1.0, atol=1e-5)
    labels = [info.label for info in regions.infos]
    assert len(set(labels)) == len(labels)
    assert set(np.unique(regions.labels)) <= set(labels)


ODD: dict[str, Callable[[], Array]] = {
    "one color": lambda: np.full((3, 48, 64), 0.5, dtype=np.float32),
    "black": lambda: np.zeros((3, 48, 64), dtype=np.float32),
    "white": lambda: np.ones((3, 48, 64), dtype=np.float32),
    "smallest": lambda: _photo(16, 16),
    "long": lambda: _photo(16, 600),
    "tall": lambda: _photo(600, 16),
    "noise": lambda: np.random.default_rng(0).random((3, 48, 64), dtype=np.float32),
}
KNOWLEDGE: dict[str, Callable[[], Array | None]] = {
    "nothing": lambda: None,
    "all alike": lambda: _probabilities(4, 6, sure=0.0),
    "sure": lambda: _probabilities(4, 6),
    "zero": lambda: np.zeros((len(GROUPS), 4, 6), dtype=np.float32),
}


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
@pytest.mark.parametrize("kind", ODD)
def test_any_photo_has_regions_that_add_up_to_1(kind: str, knowledge: str) -> None:
    photo = ODD[kind]()
    regions, plan = find_regions(photo, KNOWLEDGE[knowledge]())
    _check(regions, photo)
    # The same without the plan, which a small photo shows.
    for known in [plan] if photo.size > 10_000 else [plan, None]:
        again, _ = find_regions(photo.copy(), KNOWLEDGE[knowledge](), known)
        np.testing.assert_array_equal(again.weights, regions.weights)
        assert again.infos == regions.infos
    coupling = couple(regions.traits, regions.traits, regions.shares, regions.shares)
    assert np.isfinite(coupling).all()


class TestFeatures:
    @pytest.mark.parametrize("size", [(200, 300), (300, 200), (100, 130)])
    def test_they_are_those_of_a_small_copy(self, size: tuple[int, int]) -> None:
        features = region_features(_photo(*size), _probabilities(8, 10))
        height, width = features.rank.shape
        assert min(height, width) == min(SIDE, *size)
        assert width / height == pytest.approx(size[1] / size[0], rel=0.01)
        for values in (features.for_clusters(), features.for_matching()):
            assert values.dtype == np.float32
            assert len(values) == height * width
            assert np.isfinite(values).all()
        for plane in (features.rank, features.height, features.depth, features.texture):
            assert plane.shape == (height, width)
            assert plane.min() >= 0.0
            assert plane.max() < 1.5

    def test_classes_follow_the_edges_of_the_photo(self) -> None:
        """The segmenter's border is three rows off, which its coarse cells do not see."""
        photo = _photo(66, 80)  # the horizon is at 33, the probabilities change at 30
        coarse = np.repeat(_probabilities(11, 8)[:, :, :1], 8, axis=2)
        fine = region_features(photo, coarse).classes
        np.testing.assert_allclose(fine.sum(axis=0), 1.0, atol=1e-4)
        assert fine[SKY, :31].min() > 0.5
        assert fine[SKY, 36:].max() < 0.5

    @pytest.mark.parametrize(
        ("best", "expected"), [(1.0, 0.0), (0.6, 0.0), (0.55, 0.5), (0.5, 1.0), (0.1, 1.0)]
    )
    def test_a_photo_is_doubted_where_no_class_is_likely(
        self, best: float, expected: float
    ) -> None:
        others = len(GROUPS) - 1
        planes = np.full((len(GROUPS), 8, 10), (1.0 - best) / others, dtype=np.float32)
        planes[3] = best
        assert photo_doubt(planes) == pytest.approx(expected, abs=1e-5)

    def test_a_photo_without_probabilities_is_doubted(self) -> None:
        assert photo_doubt(None) == 1.0

    def test_doubted_classes_tell_no_place_from_another(self) -> None:
        apart = {
            sure: np.abs(features.classes[SKY, 10] - features.classes[SKY, -10]).mean()
            for sure in (1.0, 0.5, 0.2)
            if (features := region_features(_photo(80, 100), _probabilities(10, 12, sure)))
        }
        assert apart[1.0] == pytest.approx(1.0, abs=0.05)
        assert apart[0.5] == pytest.approx(0.5 * (1 - 0.583), abs=0.03)  # the doubt is 0.583
        assert apart[0.2] < 1e-5

    def test_what_floats_in_the_sky_is_a_cloud(self) -> None:
        photo = np.full((3, 80, 80), 0.6, dtype=np.float32)
        probabilities = np.zeros((len(GROUPS), 20, 20), dtype=np.float32)
        probabilities[SKY] = 1.0
        probabilities[[SKY, VEGETATION], 8:12, 8:12] = np.array([0.0, 1.0])[:, None, None]
        assert region_features(photo, probabilities).classes[SKY].min() > 0.5

    def test_an_object_is_far_from_the_border_and_shading_does_not_add_up(self) -> None:
        color = np.zeros((3, 60, 60), dtype=np.float32)
        color[0, 20:40, 20:40] = 80.0
        depth = border_distance(color)
        assert depth[25:35, 25:35].min() > 0.9
        assert depth[:15].max() < 0.1
        color[0] = np.linspace(0, 50, 60)[:, None]
        assert border_distance(color).max() < 0.1


class TestClusters:
    def test_centers_are_those_of_the_groups(self) -> None:
        random = np.random.default_rng(1)
        true = np.array([[0, 0], [5, 0], [0, 5]], dtype=np.float32)
        features = np.repeat(true, 200, axis=0)
        features += 0.1 * random.standard_normal(features.shape).astype(np.float32)
        found = clusters.find_centers(features, 3)
        order = np.lexsort(found.T[::-1])
        np.testing.assert_allclose(found[order], [[0, 0], [0, 5], [5, 0]], atol=0.05)

    @pytest.mark.parametrize("different", [1, 2, 4])
    def test_there_are_no_more_clusters_than_different_pixels(self, different: int) -> None:
        features = np.repeat(np.eye(4, dtype=np.float32)[:different], 50, axis=0)
        centers = clusters.find_centers(features, 6)
        assert len(centers) == different
        weights = clusters.memberships(features, centers)
        np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-6)
        assert weights.max(axis=0).min() > 0.99

    def test_memberships_are_shared_halfway(self) -> None:
        centers = np.array([[0.0], [1.0]], dtype=np.float32)
        features = np.array([[-0.1], [0.1], [0.5], [0.9], [1.1]], dtype=np.float32)
        weights = clusters.memberships(features, centers)
        np.testing.assert_allclose(weights[:, 2], 0.5)
        assert (np.diff(weights[1]) >= 0).all()

    def test_borders_move_to_where_the_colors_change(self) -> None:
        color, weights = np.zeros((3, 40, 60), np.float32), np.zeros((3, 40, 60), np.float32)
        color[0, :, 30:] = 60.0
        weights[0, :, :33], weights[1, :, 33:] = 1.0, 1.0
        found = clusters.follow_colors(weights, color)
        np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-5)
        assert found[1, :, 31:33].min() > 0.5
        assert found[0, :, :29].min() > 0.5
        assert found[2].max() < 1e-3  # a region that is empty stays so


# The colors and the sure classes of four vertical stripes, and the parts that they become.
STRIPES: dict[str, tuple[list[float], list[dict[int, float]], list[int]]] = {
    "different colors": ([0, 30, 60, 90], [{}, {}, {}, {}], [0, 1, 2, 3]),
    "no border to see": ([0, 1, 40, 41], [{1: 0.9}, {2: 0.9}, {}, {1: 0.9}], [0, 0, 1, 1]),
    "one sure class apart": ([0, 50, 20, 80], [{1: 0.9}, {}, {1: 0.9}, {}], [0, 1, 0, 2]),
    "one class with a step": ([0, 40, 80, 20], [{1: 0.9}, {1: 0.9}, {}, {}], [0, 1, 2, 3]),
    "perhaps of the class": ([0, 8, 40, 80], [{1: 0.9}, {1: 0.4}, {}, {}], [0, 0, 1, 2]),
    "hardly of the class": ([0, 8, 40, 80], [{1: 0.9}, {1: 0.3}, {}, {}], [0, 1, 2, 3]),
    "alike, no sure class": ([0, 8, 40, 80], [{1: 0.5}, {2: 0.2}, {}, {}], [0, 0, 1, 2]),
    "alike, different things": ([0, 8, 40, 80], [{1: 0.5}, {2: 0.5}, {}, {}], [0, 1, 2, 3]),
    "other is no class": ([0, 50, 20, 80], [{0: 0.9}, {}, {0: 0.9}, {}], [0, 1, 2, 3]),
}


class TestJoining:
    @pytest.mark.parametrize(("lightness", "classes", "parts"), STRIPES.values(), ids=STRIPES)
    def test_stripes(
        self, lightness: list[float], classes: list[dict[int, float]], parts: list[int]
    ) -> None:
        stripes = np.eye(4, dtype=np.float32).repeat(10, axis=1)
        planes = np.repeat(stripes[:, None], 20, axis=1)
        color, probabilities = np.zeros((2, 3, 20, 40), dtype=np.float32)
        color[0] = np.repeat(lightness, 10)
        for stripe, sure in enumerate(classes):
            for group, value in sure.items():
                probabilities[group, :, 10 * stripe : 10 * stripe + 10] = value
        assert join_clusters(planes, probabilities, color) == parts

    def test_a_single_cluster_is_a_region(self) -> None:
        one = np.ones((1, 4, 4), dtype=np.float32)
        assert join_clusters(one, one, np.zeros((3, 4, 4), dtype=np.float32)) == [0]

    def test_a_region_of_few_pixels_is_dropped_and_its_pixels_join_others(self) -> None:
        shares = np.zeros((3, 1000), dtype=np.float32)
        shares[0, 2:], shares[1, 0], shares[2, 1] = 1.0, 1.0, 1.0
        groups = without_small([1, 0, 1], shares)
        assert groups == [0, -1, 0]
        np.testing.assert_allclose(clusters.joined(shares, groups), 1.0)


def _shares(*counts: int) -> list[Array]:
    return [np.full(count, 1 / count, dtype=np.float32) for count in counts]


class TestCoupling:
    def test_rows_add_up_to_1(self) -> None:
        random = np.random.default_rng(0)
        for _ in range(5):
            content, style = (random.random((n, 8), dtype=np.float32) for n in (5, 3))
            found = couple(content, style, *_shares(5, 3))
            assert found.shape == (5, 3)
            assert found.min() >= 0.0
            np.testing.assert_allclose(found.sum(axis=1), 1.0)

    def test_identical_photos_couple_each_region_with_itself(self) -> None:
        regions, _ = find_regions(_photo(60, 80), _probabilities(8, 10))
        found = couple(regions.traits, regions.traits, regions.shares, regions.shares)
        assert len(found) >= 2
        np.testing.assert_array_equal(found.argmax(axis=1), np.arange(len(found)))
        assert found.diagonal().min() > 0.6
        traits = 3 * np.eye(4, dtype=np.float32)  # far apart
        np.testing.assert_allclose(couple(traits, traits, *_shares(4, 4)), np.eye(4), atol=0.03)

    def test_every_style_region_is_taken_by_something(self) -> None:
        content = np.array([[0.0], [1.0]], dtype=np.float32)
        style = np.array([[0.0], [1.0], [1.4]], dtype=np.float32)  # no nearest region is the third
        assert couple(content, style, *_shares(2, 3))[:, 2].max() > 0.1
        content, style = np.zeros((1, 2), np.float32), np.eye(2, dtype=np.float32)  # equally good
        np.testing.assert_allclose(couple(content, style, *_shares(1, 2)), [[0.5, 0.5]])

    def test_a_small_partner_gives_a_large_region_twice_its_area(self) -> None:
        content = np.array([[0.0], [5.0]], dtype=np.float32)
        style = np.array([[0.0], [5.0]], dtype=np.float32)
        shares = np.array([0.8, 0.2], np.float32), np.array([0.1, 0.9], np.float32)
        found = couple(content, style, *shares)
        assert 0.25 < found[0, 0] < 0.35
        np.testing.assert_allclose(found[1], [0.0, 1.0], atol=1e-5)

    def test_a_large_sky_is_hardly_mixed_with_the_meadow_under_a_small_one(self) -> None:
        """Transport alone would take nearly half of it from the meadow, and tint it."""
        traits = 3 * np.eye(2, dtype=np.float32)
        shares = np.array([0.64, 0.36], np.float32), np.array([0.34, 0.66], np.float32)
        assert couple(traits, traits, *shares)[0, 0] > 0.96

    @pytest.mark.parametrize(("ours", "theirs"), [(0.0, 0.5), (0.5, 0.0), (0.0, 0.0)])
    def test_a_region_that_has_vanished_gives_numbers(self, ours: float, theirs: float) -> None:
        traits = 10 * np.eye(3, dtype=np.float32)
        shares = (np.array([0.5, middle, 0.5], np.float32) for middle in (ours, theirs))
        found = couple(traits, traits, *shares)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(axis=1), 1.0)


def test_faint_weights_are_dropped_where_the_photo_is_flat() -> None:
    photo = np.full((3, 40, 60), 0.5, dtype=np.float32)
    photo[:, :, 30:] += 0.2 * np.random.default_rng(0).random((40, 30), dtype=np.float32)
    solid = _solid_from(photo)
    assert solid[:, :26] == pytest.approx(0.7)
    assert solid[:, 33:].min() > 0.95
    weights = np.stack([np.full((40, 60), 0.8, np.float32), np.full((40, 60), 0.2, np.float32)])
    found = normalize_weights(weights, solid)
    assert (found[1, :, :26] == 0.0).all()
    assert (found[1, :, 33:] > 0.05).all()


class TestInterior:
    def test_it_is_0_at_a_border_and_1_half_a_window_away(self) -> None:
        weights = np.zeros((2, 30, 40), dtype=np.float32)
        weights[0, :, :20], weights[1, :, 20:] = 1.0, 1.0
        row = interior(weights, 9)[15]
        np.testing.assert_allclose(row[[15, 24]], 1.0, atol=1e-5)
        np.testing.assert_allclose(row[[19, 20]], 1 / 9, atol=1e-5)
        assert (np.diff(row[20:25]) > 0.0).all()

    def test_one_region_has_no_border(self) -> None:
        np.testing.assert_allclose(interior(np.ones((1, 30, 40), np.float32)), 1.0, atol=1e-5)


class TestFoundRegions:
    def test_sure_classes_have_their_names_and_others_are_areas(self) -> None:
        regions, _ = find_regions(_photo(60, 80), _probabilities(8, 10))
        infos = {info.label: info for info in regions.infos}
        assert infos[SKY].name == "sky"
        assert infos[SKY].sure > 0.9
        assert (regions.labels[:25] == SKY).mean() > 0.95
        assert (regions.labels[35:] == SKY).mean() < 0.05
        regions, _ = find_regions(_photo(60, 80), None)
        assert len(regions.infos) > 1
        for index, info in enumerate(regions.infos):
            assert info == (AREA_LABEL + index, f"area {index + 1}", 0.0)

    def test_a_flat_sky_has_no_halo_around_a_tower(self) -> None:
        """The segmenter gives the building as wide a border as its coarse cells have."""
        height, width = 160, 240
        photo = np.full((3, height, width), 0.1, dtype=np.float32)
        random = np.random.default_rng(0)
        photo[:, 120:] = random.uniform(0.0, 0.8, (height - 120, width))
        photo[:, 30:120, 110:130] = random.uniform(0.0, 0.8, (90, 20))
        cells = np.full((len(GROUPS), 20, 30), 0.01, dtype=np.float32)
        cells[SKY, :15] = 0.95
        cells[SKY, 2:15, 12:18] = 0.4
        cells[GROUPS.index("building")] = 0.95 - cells[SKY]
        regions, _ = find_regions(photo, cells / cells.sum(axis=0))
        sky = regions.weights[[info.name for info in regions.infos].index("sky")]
        beside = np.r_[96:108, 132:144]
        assert sky[40:110, beside].min() > 0.97
        assert sky[40:110, 113:127].mean() < 0.5

    def test_a_plan_gives_the_next_frame_the_same_regions_in_the_same_order(self) -> None:
        first, plan = find_regions(_photo(60, 80), _probabilities(8, 10))
        changed = np.roll(_photo(60, 80, seed=1), 3, axis=2) * np.float32(0.9)
        second, kept = find_regions(changed, _probabilities(8, 10, sure=0.5), plan)
        assert kept is plan
        assert second.infos == first.infos
        overlap = np.einsum("khw,lhw->kl", second.weights, first.weights)
        large = first.shares > 0.05
        np.testing.assert_array_equal(overlap.argmax(axis=1)[large], np.flatnonzero(large))

    def test_a_frame_that_lacks_a_region_of_the_plan_keeps_its_place(self) -> None:
        first, plan = find_regions(_photo(60, 80), _probabilities(8, 10))
        sky = np.zeros_like(_probabilities(8, 10))
        sky[SKY] = 1.0
        photo = np.broadcast_to(np.array([[[0.4]], [[0.6]], [[0.9]]], np.float32), (3, 60, 80))
        second, _ = find_regions(np.array(photo), sky, plan)
        _check(second, photo)
        assert second.infos == first.infos

    def test_a_whole_photo_is_one_region(self) -> None:
        regions = whole_photo(_photo(20, 30))
        _check(regions, _photo(20, 30))
        assert regions.infos == [(0, "whole photo", 1.0)]
        assert regions.shares.tolist() == [1.0]


# A photo dark on the left and bright from column 30 on; a mask three pixels too far to the right.
STEP = np.full((3, 40, 60), 0.2, dtype=np.float32)
STEP[:, :, 30:] = 0.8
MASK = np.full((40, 60), 4, dtype=np.uint8)
MASK[:, 33:] = 7


class TestMaskRegions:
    def test_without_edges_weights_are_the_mask(self) -> None:
        regions = mask_regions(MASK, ("a", "b", "c", "d", "fifth"), STEP, edges=False)
        _check(regions, STEP)
        assert regions.infos == [(4, "fifth", 1.0), (7, 7, 1.0)]
        np.testing.assert_array_equal(regions.weights[0], MASK == 4)
        np.testing.assert_array_equal(regions.labels, MASK)

    def test_with_edges_borders_move_to_those_of_the_photo(self) -> None:
        regions = mask_regions(MASK, (), STEP, edges=True)
        _check(regions, STEP)
        assert regions.weights[1, :, 31:33].min() > 0.5
        assert regions.weights[0, :, :29].min() > 0.5
        np.testing.assert_array_equal(regions.weights[0, :, :8], 1.0)
        np.testing.assert_array_equal(regions.weights[1, :, -8:], 1.0)

    @pytest.mark.parametrize("edges", [False, True])
    def test_a_region_that_vanishes_at_working_size_is_none(self, edges: bool) -> None:
        mask = np.zeros((400, 600), dtype=np.uint8)
        mask[200:], mask[3:5, 3:5] = 1, 9
        regions = mask_regions(mask, (), STEP, edges=edges)
        _check(regions, STEP)
        assert [info.label for info in regions.infos] == [0, 1]

    @pytest.mark.parametrize("edges", [False, True])
    def test_a_mask_of_one_label_and_of_many_small_regions(self, edges: bool) -> None:
        regions = mask_regions(np.full((40, 60), 5, np.uint8), (), STEP, edges=edges)
        np.testing.assert_array_equal(regions.weights, np.ones((1, 40, 60)))
        mask = np.random.default_rng(0).integers(0, MAX_REGIONS, (40, 60)).astype(np.uint8)
        _check(mask_regions(mask, (), STEP, edges=edges), STEP)


class TestNormalizing:
    def test_large_weights_become_1_and_small_ones_0(self) -> None:
        weights = np.array([[0.99, 0.8, 0.5, 0.3, -0.1]], dtype=np.float32)
        weights = np.stack([weights, 1.0 - weights])
        found = normalize_weights(weights, 0.75)
        np.testing.assert_allclose(found[0, 0], [1.0, 1.0, 0.5, 0.1, 0.0], atol=1e-6)
        np.testing.assert_allclose(found.sum(axis=0), 1.0, atol=1e-6)

    def test_a_pixel_without_a_large_weight_goes_to_its_strongest_region(self) -> None:
        weights = np.array([0.05, 0.2, 0.24, 0.23, 0.22], dtype=np.float32).reshape(5, 1, 1)
        weights = np.concatenate([weights, np.eye(5, dtype=np.float32)[:, :1, None]], axis=2)
        np.testing.assert_array_equal(normalize_weights(weights, 0.75)[:, 0], np.eye(5)[:, [2, 0]])

    def test_a_pixel_without_weights_goes_to_the_largest_region(self) -> None:
        weights = np.zeros((3, 1, 4), dtype=np.float32)
        weights[1, 0, 1:3], weights[0, 0, 3], weights[2, 0, 0] = 1.0, 1.0, -0.2
        np.testing.assert_array_equal(normalize_weights(weights)[:, 0, 0], [0.0, 1.0, 0.0])

    def test_normalized_weights_are_unchanged(self) -> None:
        weights = np.eye(3, dtype=np.float32)[:, None, :]
        np.testing.assert_array_equal(normalize_weights(weights), weights)
