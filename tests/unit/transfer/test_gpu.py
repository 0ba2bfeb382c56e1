"""What only a GPU can show: graphs of launches, features that lie there. Skipped without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal import Pipeline
from photoreal.arrays import resize
from photoreal.contract import CHANNELS
from photoreal.pipeline.wct2.model import serve_wct2
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.regions import Pair
from photoreal.regions.soft import find_regions, normalize_weights
from photoreal.transfer import roots
from photoreal.transfer.progressive import LabelledImage, NetworkEngine, transfer
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from tests.reference_cases import TOLERANCE, case_arrays, case_error, cases
from tests.shared import builtin_networks, psnr, region_order, seeded_networks, smooth_image

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no GPU here.")

PHOTOS = Path(__file__).parents[3] / "examples" / "photos"
PAIRS = [Pair(0, 1), Pair(1, None), Pair(2, 2)]


def _covariances(count: int, channels: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(count, channels, 2 * channels, generator=generator)
    return [(factor @ factor.T).cuda() for factor in factors]


@pytest.mark.parametrize("channels", [64, 512])
@pytest.mark.parametrize("count", [1, 3, 8, 17, 64])
def test_a_graph_gives_what_its_launches_give(count: int, channels: int) -> None:
    for seed in range(3):  # the same graph, with other matrices
        found = _covariances(count, channels, seed)
        expected_roots, expected_inverses = roots.newton_schulz(torch.stack(found))
        for one, expected in zip(roots.roots(found), expected_roots, strict=True):
            torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-3)
        for one, expected in zip(roots.inverse_roots(found), expected_inverses, strict=True):
            torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-5)


def test_graphs_of_many_regions_are_bounded() -> None:
    roots.roots(_covariances(3 * 64, 64, 0))  # three bands of as many regions as masks may have
    before = torch.cuda.memory_allocated()
    assert roots._captured.cache_info().currsize <= 5 * len(CHANNELS)
    for count in (65, 100, 130, 191):
        roots.roots(_covariances(count, 64, 1))
    assert torch.cuda.memory_allocated() <= before


def test_roots_of_several_sizes_come_in_order() -> None:
    mixed = [*_covariances(2, 64, 0), *_covariances(3, 128, 1), *_covariances(1, 64, 2)]
    for one, covariance in zip(roots.roots(mixed), mixed, strict=True):
        squared = one @ one - torch.eye(len(one), device="cuda")
        assert (squared - covariance).abs().max() < 1e-3 * covariance.abs().max()


def _pictures() -> tuple[LabelledImage, LabelledImage]:
    labels, theirs = np.zeros((72, 90), np.uint8), np.zeros((88, 64), np.uint8)
    labels[:, 40:], labels[50:] = 1, 2
    theirs[30:] = 1
    theirs[60:, 20:] = 2
    content, style = smooth_image(72, 90), smooth_image(88, 64, seed=1)
    return LabelledImage(content, labels), LabelledImage(style, theirs)


ENGINES = pytest.mark.parametrize(
    ("dtype", "channels_last", "least_db"),
    [(torch.float32, False, 70), (torch.float16, True, 40), (torch.float16, False, 40)],
    ids=["float32", "half by pixel", "half"],
)


@pytest.mark.parametrize("blend", [0, 3])
@pytest.mark.parametrize("alpha", [1.0, 0.4])
@ENGINES
def test_a_transfer_is_that_of_the_cpu(
    dtype: torch.dtype,
    channels_last: bool,
    least_db: float,
    alpha: float,
    blend: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    content, style = _pictures()
    networks = builtin_networks("cat5")
    expected = transfer(content, style, PAIRS, NetworkEngine(*networks), alpha=alpha, blend=blend)
    engine = NetworkEngine(*networks, "cuda", dtype=dtype, channels_last=channels_last)
    found = transfer(content, style, PAIRS, engine, alpha=alpha, blend=blend)
    assert found.device.type == "cuda"
    assert psnr(found.cpu().float().clamp(0, 1), expected.clamp(0, 1)) >= least_db


def _soft_image(height: int, width: int, seed: int, device: str) -> SoftImage:
    """A smooth image whose three regions blend into each other."""
    random = np.random.default_rng(seed)
    weights = resize(random.random((3, 5, 6), np.float32), height, width)
    weights = torch.from_numpy(normalize_weights(weights, 0.6)).to(device)
    return SoftImage(smooth_image(height, width, seed=seed), weights)


@ENGINES
def test_soft_regions_are_those_of_the_cpu(
    dtype: torch.dtype, channels_last: bool, least_db: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU computes region by region, a GPU all regions together."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    coupling = np.array([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0], [0.2, 0.3, 0.5]])

    def picture(engine: NetworkEngine, device: str) -> Tensor:
        content = _soft_image(72, 90, 0, device)
        measures = measure_soft(_soft_image(88, 64, 1, device), engine)
        return apply_soft(content, couple_measures(measures, coupling), engine)

    networks = builtin_networks("cat5")
    expected = picture(NetworkEngine(*networks), "cpu")
    engine = NetworkEngine(*networks, "cuda", dtype=dtype, channels_last=channels_last)
    found = picture(engine, "cuda")
    assert found.device.type == "cuda"
    assert psnr(found.cpu().float().clamp(0, 1), expected.clamp(0, 1)) >= least_db


def test_regions_found_on_a_gpu_are_those_of_numpy() -> None:
    photo = smooth_image(200, 260)[0].numpy()
    expected, _ = find_regions(photo, None)
    found, _ = find_regions(torch.from_numpy(photo).cuda(), None)
    assert found.weights.device.type == "cuda"
    weights = found.weights.cpu().numpy()
    order = region_order(weights, expected.weights)
    np.testing.assert_allclose(weights[order], expected.weights, atol=1e-2)
    np.testing.assert_allclose(found.traits[order], expected.traits, atol=1e-2)


@pytest.mark.parametrize("method", ["wct2", "color"])
def test_a_whole_request_gives_the_picture_of_the_cpu(method: Literal["wct2", "color"]) -> None:
    content, style = PHOTOS / "china.jpg", PHOTOS / "rocket.jpg"
    ours, theirs = (
        np.array(Pipeline(device=device).stylize(content, style, size=256, method=method).image)
        for device in ("cpu", "cuda")
    )
    assert psnr(torch.from_numpy(theirs) / 255, torch.from_numpy(ours) / 255) >= 35


def test_a_known_style_gives_the_same_picture() -> None:
    content, style = _pictures()
    engine = NetworkEngine(
        *builtin_networks("cat5"), "cuda", dtype=torch.float16, channels_last=True
    )
    inputs = {
        "CONTENT": content.image[0].numpy(),
        "STYLE": style.image[0].numpy(),
        "CONTENT_LABELS": content.labels,
        "STYLE_LABELS": style.labels,
        "BLEND": np.array(3),
    }
    cache = StyleCache(1 << 28)
    first, second = (serve_wct2(inputs, engine, cache) for _ in range(2))
    alone = serve_wct2(inputs, engine, StyleCache(0))
    assert (bool(first["STYLE_CACHED"]), bool(second["STYLE_CACHED"])) == (False, True)
    assert np.isfinite(first["IMAGE"]).all()
    np.testing.assert_allclose(second["IMAGE"], first["IMAGE"], rtol=0, atol=2e-3)
    np.testing.assert_allclose(alone["IMAGE"], first["IMAGE"], rtol=0, atol=2e-3)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['case']}-{case['unpool']}")
def test_the_published_numbers_on_a_gpu(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    engine = NetworkEngine(*seeded_networks(case["unpool"]), torch.device("cuda"))
    with torch.inference_mode():
        assert case_error(case, case_arrays(), engine) <= TOLERANCE
