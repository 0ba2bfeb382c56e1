"""Pixels of a request as tensors: the same pictures as with numpy, within rounding.

The tensors are on the CPU here; on a GPU the same code runs (`tests/unit/transfer/test_gpu.py`).
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy import ndimage

from photoreal import Pipeline
from photoreal.arrays import is_tensor, resize, to_host
from photoreal.errors import NumericalError
from photoreal.networks.vgg import Skips
from photoreal.pipeline.engine import network_engine
from photoreal.pipeline.in_process import in_process_models
from photoreal.pipeline.presets.tensor_file import read_tensors
from photoreal.pipeline.request import Models, StylizeRequest, StylizeResponse
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import Limits
from photoreal.render.box_filter import Border, box_mean
from photoreal.render.local_linear import FloatArray, fit_local_linear
from photoreal.render.on_device import apply_on_device
from photoreal.render.upsample import ColorModel, apply_colors, fit_colors
from photoreal.transfer.progressive import NetworkEngine
from photoreal.weights.networks import fingerprint, load_wct2
from photoreal.weights.segmenters import load_segmenter
from tests.shared import encoded


def random(*shape: int) -> FloatArray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def models() -> Models:
    networks = load_wct2()
    return in_process_models(
        network_engine(*networks, "cpu", half=False),
        *load_segmenter("default"),
        device="cpu",
        weights=lambda: fingerprint(*networks),
    )


@pytest.mark.parametrize(("border", "mode"), [("edge", "nearest"), ("symmetric", "reflect")])
@pytest.mark.parametrize("side", [1, 3, 9, 11, 17])
@pytest.mark.parametrize("size", [(20, 17), (320, 330)])
def test_box_means_are_those_of_scipy(
    size: tuple[int, int], side: int, border: Border, mode: str
) -> None:
    planes = random(2, *size)
    expected = np.stack([ndimage.uniform_filter(plane, side, mode=mode) for plane in planes])
    found = box_mean(torch.from_numpy(planes), side, border)
    assert np.allclose(to_host(found), expected, atol=1e-6)
    assert np.allclose(box_mean(planes, side, border), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(20, 31), (40, 62), (7, 11), (33, 12)])
def test_resizing_agrees(size: tuple[int, int]) -> None:
    planes = random(2, 20, 31)
    found = resize(torch.from_numpy(planes), *size)
    assert np.allclose(to_host(found), resize(planes, *size), atol=1e-6)


@pytest.mark.parametrize("side", [3, 33])
def test_strips_of_a_large_image_join_without_a_seam(side: int) -> None:
    values, guide, prior = random(2, 400, 300), random(3, 400, 300), random(2, 3, 400, 300)
    found = fit_local_linear(values, guide, side, 1e-3, prior)
    planes, colors, slopes = (torch.from_numpy(one) for one in (values, guide, prior))
    whole = fit_local_linear(planes, colors, side, 1e-3, slopes)
    for ours, theirs in zip(found, whole, strict=True):
        assert np.allclose(ours, to_host(theirs), atol=2e-4)


@pytest.mark.parametrize("size", [(24, 36), (61, 90), (200, 300), (10, 15)])
@pytest.mark.parametrize("strip", [1 << 20, 700])
def test_colors_are_applied_alike(size: tuple[int, int], strip: int) -> None:
    content, result = random(3, 24, 36), random(3, 24, 36)
    photo = (random(*size, 3) * 255).astype(np.uint8)
    model = fit_colors(content, result)
    tensors = fit_colors(torch.from_numpy(content), torch.from_numpy(result))
    assert is_tensor(tensors.slopes)
    found = apply_on_device(ColorModel(*tensors), photo, strip)
    apart = np.abs(found.astype(int) - apply_colors(model, photo))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def scene(height: int, width: int, blue: float) -> npt.NDArray[np.uint8]:
    rows = np.linspace(0, 1, height)[:, None, None]
    colors = np.where(rows < 0.5, [90, 120, 255 * blue], [120, 90, 60 + 50 * blue])
    noise = np.random.default_rng(1).normal(0, 12, (height, width, 1))
    photo: npt.NDArray[np.uint8] = np.clip(colors * (0.6 + 0.4 * rows) + noise, 0, 255).astype(
        np.uint8
    )
    return photo


CONTENT, STYLE = encoded(scene(96, 128, 0.9)), encoded(scene(80, 100, 0.2))
MASKS = {
    "content_mask": encoded(
        np.repeat(np.arange(96) // 48 * 50, 128).reshape(96, 128).astype(np.uint8)
    ),
    "style_mask": encoded(
        np.repeat(np.arange(80) // 40 * 50, 100).reshape(80, 100).astype(np.uint8)
    ),
}


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "color": {"method": "color"},
    "whole": {"segment": False},
    "masks": MASKS,
    "masks as drawn": MASKS | {"mask_edges": False},
    "two styles": {"style": (STYLE, CONTENT), "weights": (0.6, 0.4)},
    "video": {"sequence": "shot", "steady": 0.5},
    "smaller": {"output_size": 48},
    "weaker": {"alpha": 0.5, "wct2_strength": 0.3},
    "published": {"method": "published"},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_pictures_agree(models: Models, options: dict[str, Any]) -> None:
    _check_pictures(models, options)


@pytest.mark.slow
def test_pictures_of_an_unknown_kind_agree(models: Models) -> None:
    count = len(models.segmenter_classes)
    unsure = np.full((count, 8, 10), 1 / count, dtype=np.float32)
    style = encoded(scene(72, 90, 0.4))  # one whose regions are not in the cache
    _check_pictures(replace(models, segment=lambda image: unsure), {"style": style})


def _check_pictures(models: Models, options: dict[str, Any]) -> None:
    request = StylizeRequest(**{"content": CONTENT, "style": STYLE, "size": 64, **options})

    def answer(device: Any) -> StylizeResponse:
        return stylize(request, replace(models, device=device), Limits())

    ours, theirs = answer(models.device), answer(None)
    pixels = [np.asarray(Image.open(io.BytesIO(one.image)), dtype=int) for one in (ours, theirs)]
    assert np.abs(pixels[0] - pixels[1]).max() <= 2
    assert np.abs(pixels[0] - pixels[1]).mean() < 0.05
    assert ours.content_labels == theirs.content_labels


def test_results_that_are_not_finite_are_refused(models: Models) -> None:
    class Broken(NetworkEngine):
        def decode(self, level: int, x: torch.Tensor, skips: Skips | None) -> torch.Tensor:
            return super().decode(level, x, skips) * torch.nan

    broken = in_process_models(Broken(*load_wct2()), device="cpu")
    request = StylizeRequest(content=CONTENT, style=STYLE, size=64, segment=False)
    with pytest.raises(NumericalError):
        stylize(request, broken, Limits())


def _preset(models: Models) -> bytes:
    request = StylizeRequest(CONTENT, STYLE, size=64, regions_only=True, measures_style=True)
    (preset,) = stylize(request, models, Limits()).preset
    return preset


@pytest.mark.slow
def test_presets_are_measured_and_used(models: Models) -> None:
    preset = _preset(models)
    _, tensors = read_tensors(preset)
    assert len(preset) < 1.5e6 * len(tensors["shares"])
    changes: list[dict[str, Any]] = [{}, {"transfer_at": "decoder"}, {"method": "color"}]
    for more in changes:
        ours, theirs = (
            stylize(StylizeRequest(CONTENT, style, size=64, **more), models, Limits())
            for style in (preset, STYLE)
        )
        assert ours.image == theirs.image


@pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no GPU here.")
def test_a_preset_of_a_cpu_is_used_on_a_gpu(models: Models) -> None:
    gpu = Pipeline(device="cuda")
    ours, theirs = (
        np.asarray(gpu.stylize(CONTENT, style, size=64).image, float)
        for style in (_preset(replace(models, device=None)), STYLE)
    )
    assert np.abs(ours - theirs).mean() < 1  # fp16 features against those of the CPU
