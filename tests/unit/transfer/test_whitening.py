"""The transform of one region against its definition, step by step in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.errors import NumericalError
from photoreal.transfer.whitening import affine_map, moments, style_statistics, whiten_and_color
from tests.shared import Array, refused


def _matrix(channels: int, pixels: int, *, seed: int, gain: float = 10.0) -> Tensor:
    """Correlated features (C, N) in float64 with a mean of their own."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((channels, channels))
    features = mixing @ generator.standard_normal((channels, pixels))
    return torch.from_numpy(gain * (features + generator.standard_normal((channels, 1))))


def _covariance(features: Array) -> Array:
    centered = features - features.mean(axis=1, keepdims=True)
    count = features.shape[1]
    covariance: Array = centered @ centered.T / (count - 1 if count > 1 else 1)
    return covariance


def _power(matrix: Array, exponent: float) -> Array:
    """A power of a symmetric positive matrix, by singular values."""
    vectors, values, _ = np.linalg.svd(matrix)
    power: Array = vectors @ np.diag(values**exponent) @ vectors.T
    return power


def _by_definition(content: Array, style: Array, alpha: float, pixels: Array) -> Array:
    identity = np.eye(len(content))
    whitened = _power(_covariance(content) + identity, -0.5) @ (
        pixels - content.mean(axis=1, keepdims=True)
    )
    colored = _power(_covariance(style) + identity, 0.5) @ whitened
    moved = colored + style.mean(axis=1, keepdims=True)
    clamped = np.clip(moved, content.min(), content.max())
    result: Array = alpha * clamped + (1 - alpha) * pixels
    return result


def _flat(*values: float) -> Tensor:
    """Features that are constant in each channel."""
    return torch.tensor(values, dtype=torch.float64)[:, None].repeat(1, 40)


CASES = {
    "usual": (_matrix(8, 200, seed=1), _matrix(8, 150, seed=2)),
    "fewer pixels than channels": (_matrix(16, 5, seed=1), _matrix(16, 7, seed=2)),
    "one ours": (_matrix(4, 1, seed=1), _matrix(4, 50, seed=2)),
    "one theirs": (_matrix(4, 50, seed=1), _matrix(4, 1, seed=2)),
    "one each": (_matrix(3, 1, seed=1), _matrix(3, 1, seed=2)),
    "gray": (_matrix(1, 20, seed=1), _matrix(1, 30, seed=2)),
    "clamped": (_matrix(4, 100, seed=8, gain=1.0), _matrix(4, 100, seed=9, gain=100.0)),
    "constant ours": (_flat(-50.0, 5.0, 50.0), _matrix(3, 40, seed=10, gain=1.0)),
    "constant theirs": (_matrix(3, 40, seed=10), _flat(3.7, 3.7, 3.7)),
    "its own style": (_matrix(7, 90, seed=7), _matrix(7, 90, seed=7)),
}


@pytest.mark.parametrize("alpha", [1.0, 0.35, 0.0])
@pytest.mark.parametrize(("content", "style"), CASES.values(), ids=CASES)
def test_transform_is_the_published_one(content: Tensor, style: Tensor, alpha: float) -> None:
    before = content.clone(), style.clone()
    statistics = style_statistics(moments([style]))
    result = whiten_and_color(content, statistics, alpha)
    expected = _by_definition(content.numpy(), style.numpy(), alpha, content.numpy())
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-8, atol=1e-8)
    # It applies to pixels outside the region too, clamped to the range of the region.
    others = _matrix(len(content), 50, seed=3, gain=60.0)
    found = affine_map(moments([content]), statistics, alpha)(others)
    expected = _by_definition(content.numpy(), style.numpy(), alpha, others.numpy())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-8)
    assert torch.equal(content, before[0])
    assert torch.equal(style, before[1])
    if alpha == 0.0:
        assert torch.equal(result, content)


def test_single_precision_is_close_to_the_definition() -> None:
    content, style = _matrix(32, 400, seed=1), _matrix(32, 300, seed=2)
    result = whiten_and_color(content.float(), style_statistics(moments([style.float()])))
    expected = _by_definition(content.numpy(), style.numpy(), 1.0, content.numpy())
    assert result.dtype == torch.float32
    assert np.abs(result.numpy() - expected).max() < 1e-4 * np.abs(expected).max()


def test_result_has_the_mean_and_the_covariance_of_the_style() -> None:
    content = _matrix(6, 500, seed=3, gain=1000.0)  # so wide that nothing is clamped
    style = _matrix(6, 400, seed=4, gain=10.0)
    result = whiten_and_color(content, style_statistics(moments([style]))).numpy()
    np.testing.assert_allclose(result.mean(axis=1), style.numpy().mean(axis=1))
    difference = np.abs(_covariance(result) - _covariance(style.numpy())).max()
    assert difference < 0.05 * np.abs(_covariance(style.numpy())).max()


@pytest.mark.parametrize("cuts", [[], [1], [30, 31], [7, 20, 40, 59]])
def test_moments_in_parts_are_those_of_the_whole(cuts: list[int]) -> None:
    """Also where the parts lie far from each other and from zero."""
    region = _matrix(5, 60, seed=13) + torch.linspace(0, 900, 60) + 1e4
    found = moments(torch.tensor_split(region, cuts, dim=1))
    torch.testing.assert_close(found.mean, region.mean(dim=1, keepdim=True))
    torch.testing.assert_close(found.covariance, torch.cov(region))
    assert (found.low, found.high) == (region.min().item(), region.max().item())


def test_no_pixel_has_no_moments() -> None:
    with pytest.raises(ValueError, match="without pixels"):
        moments([])


def test_a_decomposition_that_fails_is_tried_in_double_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, style = _matrix(8, 50, seed=1).float(), moments([_matrix(8, 40, seed=2).float()])
    expected = whiten_and_color(content, style_statistics(style))
    tried: list[torch.dtype] = []
    eigh = torch.linalg.eigh

    def fail(matrix: Tensor) -> Any:
        tried.append(matrix.dtype)
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("It failed to converge.")  # type: ignore[attr-defined]
        return eigh(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    found = whiten_and_color(content, style_statistics(style))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert tried == [torch.float32, torch.float64] * 2


def test_features_that_are_not_finite_are_refused() -> None:
    features = _matrix(4, 9, seed=1).float()
    features[2, 3] = torch.inf
    with refused(NumericalError, "eigen-decomposition"):
        style_statistics(moments([features]))
