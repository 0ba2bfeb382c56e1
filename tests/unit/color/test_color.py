"""Colors: moments, the transport between them, and the range of a display."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from photoreal.arrays import to_host
from photoreal.color import tones
from photoreal.color.align import (
    RegionColors,
    align_chroma,
    align_colors,
    alignment,
    region_colors,
)
from photoreal.color.detail import smooth_faint_detail
from photoreal.color.gamut import compress_range
from photoreal.color.spaces import lab, luma
from photoreal.color.transport import (
    MAX_GAIN,
    RIDGE,
    ColorMoments,
    barycenter,
    color_map,
    color_moments,
    mixture,
    without_gain,
)
from tests.shared import Array


def _picture(seed: int, height: int = 12, width: int = 18) -> Array:
    """Correlated colors in the middle of the range."""
    random = np.random.default_rng(seed)
    mixing = random.uniform(-0.06, 0.06, (3, 3)) + 0.06 * np.eye(3)
    colors = np.tensordot(mixing, random.standard_normal((3, height, width)), axes=1)
    return np.clip(0.5 + colors, 0.05, 0.95).astype(np.float32)


def _moments(seed: int) -> ColorMoments:
    return color_moments(_picture(seed), np.ones((12, 18), dtype=np.float32))


def _colors(picture: Array) -> RegionColors:
    (found,) = region_colors(picture, np.ones((1, *picture.shape[1:]), dtype=np.float32))
    assert found is not None
    return found


def _assert_same(found: ColorMoments, expected: ColorMoments, atol: float) -> None:
    np.testing.assert_allclose(found.mean, expected.mean, atol=atol)
    np.testing.assert_allclose(found.covariance, expected.covariance, atol=atol)


class TestMoments:
    def test_weighted_moments_are_numpys(self) -> None:
        picture = _picture(1)
        weights = np.random.default_rng(2).random((12, 18)).astype(np.float32)
        colors, shares = picture.reshape(3, -1).astype(np.float64), weights.ravel()
        mean = np.average(colors, axis=1, weights=shares)
        expected = ColorMoments(mean, np.cov(colors, aweights=shares, ddof=0))
        _assert_same(color_moments(picture, weights), expected, 1e-7)

    def test_a_flat_region_keeps_its_small_variance(self) -> None:
        picture = np.full((3, 100, 100), 0.9, dtype=np.float32)
        picture[:, ::2] += 1e-3
        found = color_moments(picture, np.ones((100, 100), dtype=np.float32))
        np.testing.assert_allclose(found.covariance, np.full((3, 3), 2.5e-7), rtol=1e-3)

    def test_a_mixture_has_the_moments_of_all_pixels_together(self) -> None:
        one, two = _picture(1), 0.5 * _picture(2, 12, 6)
        parts = [color_moments(p, np.ones(p.shape[1:], dtype=np.float32)) for p in (one, two)]
        together = np.concatenate([one, two], axis=2)
        expected = color_moments(together, np.ones(together.shape[1:], dtype=np.float32))
        _assert_same(mixture(parts, [18.0, 6.0]), expected, 1e-7)

    def test_a_barycenter_averages_the_deviations_of_commuting_covariances(self) -> None:
        parts = [ColorMoments(np.full(3, m), s**2 * np.eye(3)) for m, s in ((0.2, 0.1), (0.6, 0.3))]
        expected = ColorMoments(np.full(3, 0.5), 0.25**2 * np.eye(3))
        _assert_same(barycenter(parts, [1.0, 3.0]), expected, 1e-9)
        _assert_same(barycenter([_moments(1), _moments(2)], [3.0, 0.0]), _moments(1), 1e-9)

    def test_a_region_of_less_than_a_pixel_has_no_colors(self) -> None:
        weights = np.zeros((3, 12, 18), dtype=np.float32)
        weights[0], weights[1, 0, 0] = 1.0, 0.9
        found = region_colors(_picture(1), weights)
        assert [one is None for one in found] == [False, True, True]


class TestMap:
    @pytest.mark.parametrize("seed", range(5))
    def test_it_carries_mean_and_covariance_over(self, seed: int) -> None:
        content, style = _moments(seed), _moments(seed + 50)
        found = color_map(content, style, gain=1e6)
        mean = found.matrix @ content.mean + found.offset
        ours, theirs = (one.covariance + RIDGE * np.eye(3) for one in (content, style))
        np.testing.assert_allclose(mean, style.mean, atol=1e-9)
        np.testing.assert_allclose(found.matrix @ ours @ found.matrix.T, theirs, atol=1e-9)

    def test_colors_that_hardly_vary_are_mostly_shifted(self) -> None:
        content = ColorMoments(np.full(3, 0.5), 0.005**2 * np.eye(3))
        style = ColorMoments(np.full(3, 0.4), 0.02**2 * np.eye(3))  # four times as much
        gains = np.linalg.eigvalsh(color_map(content, style).matrix)
        np.testing.assert_allclose(gains, 1.37, atol=0.01)

    @pytest.mark.parametrize("gain", [0.5, MAX_GAIN])
    def test_it_is_symmetric_and_its_gain_is_bounded(self, gain: float) -> None:
        content = ColorMoments(np.full(3, 0.5), np.diag([1e-2, 1e-7, 0.0]))
        found = color_map(content, _moments(2), gain=gain)
        np.testing.assert_allclose(found.matrix, found.matrix.T, atol=1e-9)
        values = np.linalg.eigvalsh(found.matrix)
        assert values.min() >= -1e-9
        assert values.max() == pytest.approx(gain)
        np.testing.assert_allclose(
            found.matrix @ content.mean + found.offset, _moments(2).mean, atol=1e-9
        )

    def test_without_gain_directions_are_only_weakened(self) -> None:
        variances = np.array([[0.04, 0.01, 0.01], [0.01, 0.09, 0.01]]) - RIDGE
        content, style = (ColorMoments(np.full(3, 0.5), np.diag(one)) for one in variances)
        found = without_gain(color_map(content, style))
        np.testing.assert_allclose(found, np.diag([0.5, 1.0, 1.0]), atol=1e-9)

    @pytest.mark.parametrize("flat", ["content", "style", "both"])
    def test_a_region_of_one_color_gives_numbers(self, flat: str) -> None:
        one = ColorMoments(np.array([0.2, 0.4, 0.6]), np.zeros((3, 3)))
        content = one if flat != "style" else _moments(1)
        style = one if flat != "content" else _moments(1)
        found = color_map(content, style)
        assert np.isfinite(found.matrix).all()
        np.testing.assert_allclose(found.matrix @ content.mean + found.offset, style.mean)


class TestAlignment:
    def test_regions_are_mixed_by_their_weights(self) -> None:
        picture, goal = _picture(1), _colors(0.6 * _picture(2))
        weights = np.zeros((2, 12, 18), dtype=np.float32)
        weights[0, :, :6], weights[1, :, 12:], weights[:, :, 6:12] = 1.0, 1.0, 0.5
        found = align_colors(picture, weights, [goal, None])
        own = color_moments(picture, weights[0])
        inside = weights[0] > 0
        change = alignment(picture[:, inside], weights[0, inside], own, goal)
        colors, shades = (one.reshape(3, -1) for one in (picture, smooth_faint_detail(picture)))
        dark = (change(shades) + change.of_detail(colors - shades)).reshape(picture.shape)
        np.testing.assert_allclose(found[..., :6], dark[..., :6], atol=1e-6)
        np.testing.assert_allclose(found[..., 12:], picture[..., 12:], atol=1e-6)
        both = (dark + picture) / 2
        np.testing.assert_allclose(found[..., 6:12], both[..., 6:12], atol=1e-6)

    def test_strength_is_the_share_of_the_change(self) -> None:
        picture, goal = _picture(1), _colors(0.6 * _picture(2))
        weights = np.ones((1, 12, 18), dtype=np.float32)
        none, half, full = (align_colors(picture, weights, [goal], s) for s in (0.0, 0.5, 1.0))
        np.testing.assert_allclose(none, picture, atol=1e-6)
        np.testing.assert_allclose(half, (picture + full) / 2, atol=1e-6)
        assert np.abs(full - picture).mean() > 0.1

    def test_regions_without_a_goal_leave_black_and_white_alone(self) -> None:
        picture = np.random.default_rng(0).random((3, 12, 18), dtype=np.float32)
        picture[:, 0], picture[:, 1], picture[:, 2] = 0.0, 1.0, np.eye(3)[:, [0]]
        found = align_colors(picture, np.ones((1, 12, 18), dtype=np.float32), [None])
        np.testing.assert_allclose(found, picture, atol=1e-6)

    @pytest.mark.parametrize("flat", ["content", "style"])
    def test_a_photo_of_one_color(self, flat: str) -> None:
        one = np.full((3, 12, 18), [[[0.3]], [[0.5]], [[0.2]]], dtype=np.float32)
        content, style = (one, _picture(1)) if flat == "content" else (_picture(1), one)
        weights = np.ones((1, 12, 18), dtype=np.float32)
        found = align_colors(content, weights, [_colors(style)])
        np.testing.assert_allclose(
            found.mean(axis=(1, 2)), style.mean(axis=(1, 2)), atol=0.02 if flat == "style" else 0.1
        )

    def test_the_colors_of_a_shot_are_asked_for(self) -> None:
        asked = []

        def steady(region: int, name: str, found: tuple[Array, ...]) -> tuple[Array, ...]:
            asked.append((region, name, [part.shape for part in found]))
            return found

        weights = np.ones((1, 12, 18), dtype=np.float32)
        picture, goal = _picture(1), _colors(_picture(2))
        steadied = align_colors(picture, weights, [goal], steady=steady)
        np.testing.assert_array_equal(steadied, align_colors(picture, weights, [goal]))
        assert asked == [(0, "moments", [(3,), (3, 3)]), (0, "tones", [(3, tones.POINTS)])]

    def test_the_order_of_regions_and_of_memory_does_not_count(self) -> None:
        """One region is everywhere, one in a part; the photo is a view, column by column."""
        picture, weights = _picture(1), np.full((2, 12, 18), 0.5, dtype=np.float32)
        weights[0, :, :5], weights[1, :, :5] = 0.0, 1.0
        goals = [_colors(_picture(2)), _colors(_picture(3))]
        found = align_colors(picture, weights, goals)
        assert np.abs(found - picture).mean() > 0.02
        view = picture.swapaxes(1, 2).copy().swapaxes(1, 2)
        turned = align_colors(view, weights[::-1], goals[::-1])
        np.testing.assert_allclose(turned, found, atol=1e-6)


class TestDetail:
    """Noise of two levels on a photo with a dark and a bright half."""

    random = np.random.default_rng(0)
    noise = (2 / 255 * random.standard_normal((3, 48, 64))).astype(np.float32)
    shades = np.where(np.arange(64) < 32, 0.2, 0.4).astype(np.float32) * np.ones((3, 48, 1))
    photo = (shades + noise).astype(np.float32)
    flat = np.s_[:, :, :24]

    def test_noise_goes_and_edges_stay(self) -> None:
        found = smooth_faint_detail(self.photo)
        assert found[self.flat].std() < 0.3 * self.noise[self.flat].std()
        before, after = (one[:, :, 33].mean() - one[:, :, 30].mean() for one in (self.photo, found))
        assert after > 0.95 * before

    def test_tensors_give_the_same(self) -> None:
        found = smooth_faint_detail(torch.from_numpy(self.photo))
        np.testing.assert_allclose(to_host(found), smooth_faint_detail(self.photo), atol=1e-4)

    def test_colors_are_amplified_and_noise_is_not(self) -> None:
        weights = np.ones((1, 48, 64), dtype=np.float32)
        style = np.clip(0.5 + 3.0 * (self.photo - 0.3), 0.0, 1.0)
        found = align_colors(self.photo, weights, [_colors(style)])
        dark, bright = found[self.flat], found[:, :, 40:]
        assert bright.mean() - dark.mean() > 2.5 * 0.2
        assert dark.std() < 1.5 * self.noise[self.flat].std()


class TestChroma:
    weights = np.ones((1, 12, 18), dtype=np.float32)

    def test_chroma_moves_to_the_goals_and_luma_stays(self) -> None:
        picture, style = _picture(1), _picture(2)
        found = align_chroma(picture, self.weights, [_colors(style)])
        ours, theirs = (tones.AXES @ one.reshape(3, -1) for one in (found, style))
        np.testing.assert_allclose(ours[1:].mean(axis=1), theirs[1:].mean(axis=1), atol=5e-3)
        np.testing.assert_allclose(luma(found), luma(picture), atol=1e-5)

    def test_regions_without_a_goal_and_a_strength_of_0_change_nothing(self) -> None:
        picture, goal = _picture(1), _colors(_picture(2))
        for goals, strength in (([None], 1.0), ([goal], 0.0)):
            found = align_chroma(picture, self.weights, goals, strength)
            np.testing.assert_allclose(found, picture, atol=1e-6)

    def test_the_chroma_of_a_shot_is_asked_for(self) -> None:
        asked = []

        def steady(region: int, name: str, found: tuple[Array, ...]) -> tuple[Array, ...]:
            asked.append((region, name))
            return found

        align_chroma(_picture(1), self.weights, [_colors(_picture(2))], steady=steady)
        assert asked == [(0, "chroma")]


class TestRange:
    @pytest.fixture
    def wild(self) -> Array:
        """Colors far outside the range, and all the grays from -1 to 2 in the first row."""
        picture = np.random.default_rng(3).uniform(-1.0, 2.0, (3, 40, 301)).astype(np.float32)
        picture[:, 0] = np.linspace(-1.0, 2.0, 301)
        return picture

    def test_the_result_is_in_range_and_keeps_its_hue(self, wild: Array) -> None:
        found = compress_range(wild)
        assert found.dtype == np.float32
        assert 0.0 <= found.min() < found.max() <= 1.0
        before, after = wild - luma(wild), found - luma(found)
        large = (np.linalg.norm(before, axis=0) > 0.05) & (np.linalg.norm(after, axis=0) > 0.01)
        assert large.mean() > 0.3
        norms = np.linalg.norm(before, axis=0) * np.linalg.norm(after, axis=0)
        cosine = (before * after).sum(axis=0) / np.maximum(norms, 1e-9)
        assert cosine[large].min() > 0.9999

    def test_what_is_in_range_stays_as_it_is(self, wild: Array) -> None:
        picture = np.random.default_rng(3).random((3, 40, 60), dtype=np.float32)
        picture[:, 0], picture[:, 1] = 0.0, 1.0
        np.testing.assert_allclose(compress_range(picture), picture, atol=1e-6)
        wild[:, 1:] = 0.1 + 0.8 * np.random.default_rng(4).random((3, 39, 301))
        np.testing.assert_allclose(compress_range(wild)[:, 1:], wild[:, 1:], atol=1e-6)

    def test_gray_stays_gray_and_in_order(self, wild: Array) -> None:
        grays = compress_range(wild)[:, 0]
        assert np.ptp(grays, axis=0).max() < 1e-6
        assert (np.diff(grays[0]) > 0).all(), "different grays must stay different"
        np.testing.assert_allclose(grays[0, [0, -1]], [0.0, 1.0], atol=0.01)


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_cielab_has_the_known_values(color: Array, expected: Array) -> None:
    found = lab(np.array(color, dtype=np.float64).reshape(3, 1, 1)).ravel()
    np.testing.assert_allclose(found, expected, atol=0.05)
