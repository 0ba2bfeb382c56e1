"""The transform of one region against its definition, step by step in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.errors import NumericalError
from photoreal.transfer.whitening import affine_map, moments, style_statistics, whiten_and_color

Matrix = npt.NDArray[np.float64]


def _matrix(channels: int, pixels: int, *, seed: int, gain: float = 10.0) -> Tensor:
    """Correlated features (C, N) in float64 with a mean of their own."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((channels, channels))
    features = mixing @ generator.standard_normal((channels, pixels))
    return torch.from_numpy(gain * (features + generator.standard_normal((channels, 1))))


def _covariance(features: Matrix) -> Matrix:
    centered = features - features.mean(axis=1, keepdims=True)
    count = features.shape[1]
    covariance: Matrix = centered @ centered.T / (count - 1 if count > 1 else 1)
    return covariance


def _power(matrix: Matrix, exponent: float) -> Matrix:
    """A power of a symmetric positive matrix, by singular values."""
    vectors, values, _ = np.linalg.svd(matrix)
    power: Matrix = vectors @ np.diag(values**exponent) @ vectors.T
    return power


def _by_definition(content: Matrix, style: Matrix, alpha: float) -> Matrix:
    identity = np.eye(len(content))
    whitened = _power(_covariance(content) + identity, -0.5) @ (
        content - content.mean(axis=1, keepdims=True)
    )
    colored = _power(_covariance(style) + identity, 0.5) @ whitened
    moved = colored + style.mean(axis=1, keepdims=True)
    clamped = np.clip(moved, content.min(), content.max())
    result: Matrix = alpha * clamped + (1 - alpha) * content
    return result


@pytest.mark.parametrize("alpha", [1.0, 0.35])
@pytest.mark.parametrize(
    ("channels", "ours", "theirs"),
    [(8, 200, 150), (16, 5, 7), (4, 1, 50), (4, 50, 1), (3, 1, 1), (1, 20, 30)],
    ids=["usual", "fewer pixels than channels", "one ours", "one theirs", "one each", "gray"],
)
def test_transform_is_the_published_one(
    channels: int, ours: int, theirs: int, alpha: float
) -> None:
    content, style = _matrix(channels, ours, seed=1), _matrix(channels, theirs, seed=2)
    result = whiten_and_color(content, style_statistics(moments([style])), alpha)
    expected = _by_definition(content.numpy(), style.numpy(), alpha)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-8, atol=1e-8)


def test_single_precision_is_close_to_the_definition() -> None:
    content, style = _matrix(32, 400, seed=1), _matrix(32, 300, seed=2)
    result = whiten_and_color(content.float(), style_statistics(moments([style.float()])))
    expected = _by_definition(content.numpy(), style.numpy(), 1.0)
    assert result.dtype == torch.float32
    assert np.abs(result.numpy() - expected).max() < 1e-4 * np.abs(expected).max()


def test_result_has_the_mean_and_the_covariance_of_the_style() -> None:
    content = _matrix(6, 500, seed=3, gain=1000.0)  # so wide that nothing is clamped
    style = _matrix(6, 400, seed=4, gain=10.0)
    result = whiten_and_color(content, style_statistics(moments([style]))).numpy()
    np.testing.assert_allclose(result.mean(axis=1), style.numpy().mean(axis=1))
    # Whitened features have the covariance 1 - (C + 1)^-1, for the identity added to C.
    root = _power(_covariance(style.numpy()) + np.eye(6), 0.5)
    whitened = np.eye(6) - np.linalg.inv(_covariance(content.numpy()) + np.eye(6))
    np.testing.assert_allclose(_covariance(result), root @ whitened @ root, rtol=1e-8)
    difference = np.abs(_covariance(result) - _covariance(style.numpy())).max()
    assert difference < 0.05 * np.abs(_covariance(style.numpy())).max()


def test_alpha_zero_gives_exactly_the_content() -> None:
    content, style = _matrix(5, 60, seed=5).float(), _matrix(5, 60, seed=6).float()
    assert torch.equal(whiten_and_color(content, style_statistics(moments([style])), 0.0), content)


def test_content_in_its_own_style_stays_as_it_is() -> None:
    content = _matrix(7, 90, seed=7)
    torch.testing.assert_close(
        whiten_and_color(content, style_statistics(moments([content]))), content
    )


def test_result_is_clamped_to_the_range_of_the_content() -> None:
    content, style = _matrix(4, 100, seed=8, gain=1.0), _matrix(4, 100, seed=9, gain=100.0)
    result = whiten_and_color(content, style_statistics(moments([style])))
    assert result.min() == content.min()
    assert result.max() == content.max()


def test_constant_features_take_the_mean_of_the_style() -> None:
    content = torch.full((3, 40), 5.0, dtype=torch.float64)
    content[0] = -50.0
    content[2] = 50.0
    style = _matrix(3, 40, seed=10, gain=1.0)
    result = whiten_and_color(content, style_statistics(moments([style])))
    torch.testing.assert_close(result, style.mean(dim=1, keepdim=True).expand(3, 40))


@pytest.mark.parametrize("pixels", [1, 2, 300])
def test_constant_style_has_the_identity_for_its_root(pixels: int) -> None:
    statistics = style_statistics(moments([torch.full((6, pixels), 3.7)]))
    torch.testing.assert_close(statistics.root, torch.eye(6))
    torch.testing.assert_close(statistics.mean, torch.full((6, 1), 3.7))


@pytest.mark.parametrize("alpha", [1.0, 0.35, 0.0])
def test_a_map_applies_to_pixels_outside_its_region(alpha: float) -> None:
    """There too it is y = root W (x - center) + mean, clamped to the range of its own region."""
    content, style = _matrix(6, 80, seed=1), _matrix(6, 70, seed=2)
    others = _matrix(6, 50, seed=3, gain=30.0)
    found = affine_map(moments([content]), style_statistics(moments([style])), alpha)(others)
    ours, theirs = content.numpy(), style.numpy()
    identity = np.eye(6)
    matrix = _power(_covariance(theirs) + identity, 0.5) @ _power(
        _covariance(ours) + identity, -0.5
    )
    moved = matrix @ (others.numpy() - ours.mean(axis=1, keepdims=True))
    moved = np.clip(moved + theirs.mean(axis=1, keepdims=True), ours.min(), ours.max())
    expected = alpha * moved + (1 - alpha) * others.numpy()
    assert others.max() > content.max()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8, atol=1e-8)


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


def test_inputs_stay_as_they_are() -> None:
    content, style = _matrix(4, 30, seed=11), _matrix(4, 30, seed=12)
    before = content.clone(), style.clone()
    statistics = style_statistics(moments([style]))
    kept = statistics.root.clone()
    for alpha in (0.0, 0.5, 1.0):
        whiten_and_color(content, statistics, alpha)
    assert torch.equal(content, before[0])
    assert torch.equal(style, before[1])
    assert torch.equal(statistics.root, kept)


@pytest.fixture
def failing_in_single(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Dtypes of the decompositions that were tried; those in single precision fail."""
    tried: list[torch.dtype] = []
    eigh = torch.linalg.eigh

    def fail(matrix: Tensor) -> Any:
        tried.append(matrix.dtype)
        if matrix.dtype == torch.float32:
            raise torch.linalg.LinAlgError("It failed to converge.")  # type: ignore[attr-defined]
        return eigh(matrix)

    monkeypatch.setattr(torch.linalg, "eigh", fail)
    return tried


def test_a_decomposition_that_fails_is_tried_in_double_precision(
    request: pytest.FixtureRequest,
) -> None:
    content = _matrix(8, 50, seed=1).float()
    style = moments([_matrix(8, 40, seed=2).float()])
    expected = whiten_and_color(content, style_statistics(style))
    tried = request.getfixturevalue("failing_in_single")
    found = whiten_and_color(content, style_statistics(style))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert tried == [torch.float32, torch.float64] * 2


def test_features_that_are_no_numbers_are_refused(check_sentence: Callable[[object], None]) -> None:
    features = _matrix(4, 9, seed=1).float()
    features[2, 3] = torch.inf
    with pytest.raises(NumericalError, match="eigen-decomposition") as caught:
        style_statistics(moments([features]))
    check_sentence(caught.value)
