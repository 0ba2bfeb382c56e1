"""Tone curves: quantiles, their mixtures, and the curves between them."""

from __future__ import annotations

import numpy as np
import torch

from photoreal.arrays import to_host
from photoreal.color import tones
from tests.shared import Array

N = 40_000
PROBABILITIES = np.linspace(0.01, 0.99, tones.POINTS)


def colors(power: float, seed: int = 0, count: int = N) -> Array:
    """Grays, spread over 0..1 by a power, and faint independent hues."""
    random = np.random.default_rng(seed)
    gray = random.random(count) ** power
    hues = 0.02 * random.standard_normal((2, count))
    values = np.stack([gray, *hues])
    found: Array = (np.linalg.inv(tones.AXES) @ values).astype(np.float32)
    return found


def measured(found: Array) -> Array:
    return tones.measure_tones(found, np.ones(found.shape[1], dtype=np.float32))


def test_quantiles_are_numpys() -> None:
    found = colors(2.0)
    expected = np.quantile(tones.AXES @ found, PROBABILITIES, axis=1).T
    np.testing.assert_allclose(measured(found), expected, atol=3e-3)


def test_weights_count_like_copies() -> None:
    found = colors(2.0, count=2000)
    weights = np.random.default_rng(1).integers(0, 4, 2000)
    expected = measured(np.repeat(found, weights, axis=1))
    given = tones.measure_tones(found, weights.astype(np.float32))
    np.testing.assert_allclose(given, expected, atol=1e-12)


def test_a_single_weight_between_the_samples_is_found() -> None:
    found = colors(2.0, count=200_001)
    weights = np.zeros(found.shape[1], dtype=np.float32)
    weights[3] = 1.0
    expected = tones.AXES @ found[:, 3]
    np.testing.assert_allclose(
        tones.measure_tones(found, weights), np.tile(expected[:, None], tones.POINTS), atol=3e-3
    )


def test_a_mixture_has_the_quantiles_of_all_pixels_together() -> None:
    parts = [colors(1.0, 1), colors(4.0, 2), 0.3 * colors(1.0, 3)]
    together = np.concatenate([parts[0], parts[1], parts[1], parts[2]], axis=1)
    found = tones.mixture_tones([measured(part) for part in parts], [1.0, 2.0, 1.0])
    np.testing.assert_allclose(found, measured(together), atol=0.01)
    assert (np.diff(found, axis=1) >= 0).all()


def test_a_barycenter_is_the_mean_of_quantiles() -> None:
    one, two = measured(colors(1.0)), measured(colors(3.0))
    np.testing.assert_allclose(
        tones.barycenter_tones([one, two], [1.0, 3.0]), 0.25 * one + 0.75 * two
    )


class TestCurves:
    def test_they_move_the_quantiles_to_those_of_the_style(self) -> None:
        content, style = colors(1.0, 1), colors(1.5, 2)
        curves = tones.tone_curves(measured(content), measured(style))
        found = measured(tones.apply_tones(curves, content))
        inner = slice(4, None)  # at black the slope exceeds the limit
        np.testing.assert_allclose(found[:, inner], measured(style)[:, inner], atol=0.02)

    def test_slopes_are_bounded(self) -> None:
        content, style = colors(1.0, 1), 0.01 + 0.98 * (colors(1.0, 2) > 0.5)
        curves = tones.tone_curves(measured(content), measured(style.astype(np.float32)))
        slopes = np.diff(curves.after, axis=1) / np.diff(curves.before, axis=1)
        assert slopes.min() >= 0.5 - 1e-9
        np.testing.assert_array_less(slopes.max(axis=1), np.array([2.0, 3.0, 3.0]) + 1e-9)

    def test_a_map_and_a_chroma_curve_amplify_no_more_than_either_may(self) -> None:
        content, style = measured(colors(1.0, 1)), measured(colors(1.0, 2))
        style[1:] = 10.0 * content[1:]
        for gain, most in ((0.5, 3.0), (2.0, 2.0), (4.0, 1.0), (9.0, 1.0)):
            curves = tones.tone_curves(content, style, map_matrix=gain * np.eye(3))
            slopes = np.diff(curves.after, axis=1) / np.diff(curves.before, axis=1)
            np.testing.assert_allclose(slopes[1:].max(axis=1), most)

    def test_they_are_monotone_and_shift_what_is_beyond_their_ends(self) -> None:
        curves = tones.tone_curves(measured(colors(1.0, 1)), measured(colors(3.0, 2)))
        grays = np.tile(np.linspace(-1, 2, 500, dtype=np.float32), (3, 1))
        found = (tones.AXES @ tones.apply_tones(curves, grays))[0]
        steps = np.diff(found) / np.diff(grays[0])
        assert steps.min() > 0.4
        np.testing.assert_allclose(steps[[0, 1, -2, -1]], 1.0, atol=1e-3)

    def test_equal_quantiles_change_nothing(self) -> None:
        content = colors(2.0)
        curves = tones.tone_curves(measured(content), measured(content))
        np.testing.assert_allclose(tones.apply_tones(curves, content), content, atol=1e-4)


def test_luma_takes_a_part_of_its_curve() -> None:
    content, style = measured(colors(1.0, 1)), measured(colors(1.5, 2))
    before, after = tones.tone_curves(content, style, 0.4)
    change, wanted = after - before, style - content
    inner = slice(4, -4)
    np.testing.assert_allclose(change[0, inner], 0.4 * wanted[0, inner], atol=0.03)
    np.testing.assert_allclose(change[1:, inner], wanted[1:, inner], atol=0.01)


def test_tensors_give_the_same() -> None:
    content, style = colors(1.0, 1), colors(1.5, 2)
    tensor, ones = torch.from_numpy(content), torch.ones(N)
    np.testing.assert_allclose(tones.measure_tones(tensor, ones), measured(content), atol=1e-6)
    curves = tones.tone_curves(measured(content), measured(style))
    found = to_host(tones.apply_tones(curves, tensor))
    np.testing.assert_allclose(found, tones.apply_tones(curves, content), atol=1e-5)
