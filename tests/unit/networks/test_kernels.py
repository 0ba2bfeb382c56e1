"""Both ways of convolving against each other, and what decides between them."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from photoreal.contract import LEVELS, UNPOOLS, Unpool
from photoreal.errors import ServeError
from photoreal.networks import wavelet
from photoreal.networks.fast import kernels
from photoreal.regions import Pair
from photoreal.transfer.progressive import transfer
from tests.shared import (
    builtin_engine,
    builtin_networks,
    psnr,
    random_image,
    refused,
    seeded_engine,
    unlabelled,
)

from .work import count_work

# Not `has_winograd`: NNPACK would keep more threads than one, before a fixture sets their number.
HAS_NNPACK = torch.backends.nnpack.is_available()  # type: ignore[no-untyped-call]
needs_nnpack = pytest.mark.skipif(not HAS_NNPACK, reason="PyTorch has no NNPACK here")
TOLERANCE = 5e-5  # of the largest value
each_way = pytest.mark.parametrize("way", [pytest.param("winograd", marks=needs_nnpack), "direct"])
Choose = Callable[[str], None]


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Choose:
    return lambda way: monkeypatch.setenv(kernels.CONVOLUTION_VARIABLE, way)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The heights of the blocks that go Winograd's way."""
    heights: list[int] = []
    original = kernels.winograd

    def noting(padded: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        heights.append(padded.shape[2] - 2)
        return original(padded, weight, bias)

    monkeypatch.setattr(kernels, "winograd", noting)
    return heights


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _layer(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    return _random(outputs, inputs, 3, 3, seed=1) / (9 * inputs) ** 0.5, _random(outputs, seed=2)


def _expected(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    padded = F.pad(x.double(), (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, weight.double(), None if bias is None else bias.double())


def _error(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


@each_way
@pytest.mark.parametrize("channels", [(16, 16), (64, 3), (3, 64), (40, 24), (200, 17)], ids=str)
@pytest.mark.parametrize("size", [(2, 2), (2, 9), (7, 5), (31, 26)], ids=str)
def test_convolve_is_the_convolution_of_reflected_features(
    way: str, channels: tuple[int, int], size: tuple[int, int], choose: Choose
) -> None:
    choose(way)
    weight, bias = _layer(*channels)
    strided = _random(2, 2 * channels[0], size[1] + 3, size[0]).transpose(2, 3)[:, ::2, :, 3:]
    for x in (_random(1, channels[0], *size), strided):
        expected = _expected(x, weight, bias)
        assert _error(kernels.convolve(x, weight, bias), expected) < TOLERANCE
        assert _error(kernels.convolve(x, weight, bias, relu=True), expected.relu()) < TOLERANCE
        assert _error(kernels.convolve(x, weight, None), _expected(x, weight, None)) < TOLERANCE


@needs_nnpack
@pytest.mark.parametrize("workspace", [4 * 32 * 256, 100_000, 300_000])
@pytest.mark.parametrize("height", [2, 6, 7, 31])
def test_blocks_of_rows_leave_no_seam(
    workspace: int,
    height: int,
    choose: Choose,
    blocks: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choose("winograd")
    x, (weight, bias) = _random(2, 16, height, 20), _layer(16, 16)
    whole = kernels.convolve(x, weight, bias, relu=True)
    blocks.clear()
    monkeypatch.setattr(kernels, "WORKSPACE", workspace)
    # Blocks begin where tiles do, so that not even the rounding changes.
    assert torch.equal(kernels.convolve(x, weight, bias, relu=True), whole)
    assert sum(blocks) == 2 * height
    assert max(blocks) <= max(6, 6 * (workspace // (4 * 32 * 256)))


@needs_nnpack
def test_winograd_is_left_out_where_a_row_of_tiles_exceeds_the_workspace(
    choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("winograd")
    weight, _ = _layer(16, 16)
    monkeypatch.setattr(kernels, "WORKSPACE", 4 * 32 * 256)
    fits = {width: kernels.uses_winograd(_random(1, 16, 2, width), weight) for width in (24, 25)}
    assert fits == {24: True, 25: False}


@needs_nnpack
def test_unpooling_a_wide_photo_is_direct(
    choose: Choose, blocks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose("winograd")
    content, style = unlabelled(random_image(16, 160)), unlabelled(random_image(16, 16))
    pairs, engine = [Pair(0, None)], builtin_engine("cat5")
    expected = transfer(content, style, pairs, engine)
    assert blocks
    blocks.clear()
    monkeypatch.setattr(kernels, "WORKSPACE", 1)
    assert psnr(transfer(content, style, pairs, engine), expected) > 80
    assert not blocks


@needs_nnpack
@pytest.mark.parametrize("workspace", [1, 400_000, 2**26])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (7, 1), (13, 10)], ids=str)
def test_both_ways_of_joining_agree(
    workspace: int,
    size: tuple[int, int],
    choose: Choose,
    blocks: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bands = wavelet.Bands(*(_random(2, 16, *size, seed=seed) for seed in range(4)))
    original = _random(2, 16, 2 * size[0], 2 * size[1], seed=4)
    weight, bias = _layer(80, 24)
    parts = weight.view(24, 5, 16, 3, 3)
    folded, own = wavelet.fold_unpooling(parts[:, :4]), parts[:, 4].contiguous()
    choose("direct")
    expected = wavelet.convolve_joined(bands, original, folded, own, bias)
    assert (expected == 0).any()
    choose("winograd")
    monkeypatch.setattr(kernels, "WORKSPACE", workspace)
    aligned = wavelet.align_phases(folded)
    found = wavelet.convolve_joined_by_winograd(bands, original, aligned, own, bias)
    assert blocks
    assert _error(found, expected) < TOLERANCE


@needs_nnpack
@pytest.mark.parametrize("unpool", UNPOOLS)
def test_a_transfer_is_the_same_both_ways(unpool: Unpool, choose: Choose) -> None:
    content, style = unlabelled(random_image(40, 32)), unlabelled(0.5 * random_image(24, 32))
    found = []
    for way in ("winograd", "winograd", "direct"):
        choose(way)
        found.append(transfer(content, style, [Pair(0, None)], builtin_engine(unpool)))
    assert torch.equal(found[0], found[1])
    assert psnr(found[0], found[2]) > 80


@pytest.mark.parametrize("size", [(1, 8), (8, 1)])
@needs_nnpack
def test_a_single_row_has_no_border_to_reflect(size: tuple[int, int], choose: Choose) -> None:
    choose("winograd")
    with refused(ValueError, rf"{size[0]}x{size[1]} pixels.*expected 2"):
        kernels.convolve(_random(1, 16, *size), *_layer(16, 16))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("unpool", UNPOOLS)
def test_tracing_and_export_take_conv2d(unpool: Unpool, choose: Choose, blocks: list[int]) -> None:
    if HAS_NNPACK:
        choose("winograd")

    class AllLevels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = builtin_networks(unpool)[0]

        def forward(self, x: Tensor) -> Tensor:
            for level in LEVELS:
                x = self.encoder.level(level, x).features
            return x

    x = _random(1, 3, 16, 16)
    program = torch.export.export(AllLevels(), (x,))
    traced = torch.jit.trace(AllLevels(), (x,), check_trace=False)  # type: ignore[no-untyped-call]
    for graph in (str(program.graph), str(traced.inlined_graph)):
        assert len(re.findall(r"aten\.conv2d|aten::conv2d|aten::_convolution", graph)) >= 10
        assert "nnpack" not in graph
    assert not blocks


@pytest.mark.parametrize(
    "why", ["double", "half", "gradient of x", "gradient of the filters", "few channels"]
)
def test_what_winograd_cannot_do_takes_conv2d(why: str, choose: Choose, blocks: list[int]) -> None:
    if HAS_NNPACK:
        choose("winograd")
    inputs = 8 if why == "few channels" else 16
    dtype = {"double": torch.float64, "half": torch.float16}.get(why, torch.float32)
    x, weight, bias = (t.to(dtype) for t in (_random(1, inputs, 8, 8), *_layer(inputs, 16)))
    trained = {"gradient of x": x, "gradient of the filters": weight}.get(why)
    if trained is not None:
        trained.requires_grad_()
    out = kernels.convolve(x, weight, bias)
    assert not blocks
    assert out.dtype == dtype
    if trained is not None:
        out.sum().backward()  # type: ignore[no-untyped-call]
        assert trained.grad is not None


def _raise(*_: object, **__: object) -> Tensor:
    raise RuntimeError("NNPACK SpatialConvolution_updateOutput failed")


def _wrong(padded: Tensor, weight: Tensor, *_: object, **__: object) -> Tensor:
    return torch.zeros(1, weight.shape[0], padded.shape[2] - 2, padded.shape[3] - 2)


@pytest.mark.parametrize("what", ["not built", "not there", "fails", "wrong"])
def test_without_a_working_nnpack_conv2d_does_it(
    what: str, choose: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "not built":
        monkeypatch.setattr(torch.backends.nnpack, "is_available", lambda: False)
    elif what == "not there":
        monkeypatch.delattr(torch, "_nnpack_spatial_convolution")
    else:
        stand_in = _raise if what == "fails" else _wrong
        monkeypatch.setattr(torch, "_nnpack_spatial_convolution", stand_in)
    monkeypatch.setattr(kernels, "has_winograd", kernels.has_winograd.__wrapped__)
    x, (weight, bias) = _random(1, 16, 8, 8), _layer(16, 16)
    choose("auto")
    assert not kernels.prepare()
    assert _error(kernels.convolve(x, weight, bias), _expected(x, weight, bias)) < TOLERANCE
    choose("winograd")
    with refused(ServeError, r"no NNPACK.*use auto or direct"):
        kernels.convolve(x, weight, bias)


def test_the_variable_names_the_kernel(choose: Choose, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "has_winograd", lambda: True)
    for faster in (True, False):
        monkeypatch.setattr(kernels, "_winograd_is_faster", lambda faster=faster: faster)
        monkeypatch.delenv(kernels.CONVOLUTION_VARIABLE, raising=False)
        assert kernels.prepare() is faster
        for way, expected in (("auto", faster), ("winograd", True), ("direct", False)):
            choose(way)
            assert kernels.prepare() is expected
    choose("fft")
    with refused(ServeError, "'fft'; expected auto, winograd or direct"):
        kernels.prepare()


@needs_nnpack
@pytest.mark.parametrize(
    ("winograd", "direct", "prefers_winograd"),
    [(0.5, 1.0, True), (1.0, 0.9, True), (1.0, 0.5, False)],
    ids=["faster", "hardly slower", "slower"],
)
def test_the_measurement_prefers_the_faster_way(
    winograd: float, direct: float, prefers_winograd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([winograd, direct] * 4)
    monkeypatch.setattr(kernels, "_seconds", lambda way: next(times))
    assert kernels._winograd_is_faster.__wrapped__() is prefers_winograd
    assert next(times, None) is None


@needs_nnpack
def test_threads_do_not_disturb_each_other(choose: Choose) -> None:
    choose("winograd")
    x, (weight, bias) = _random(1, 32, 48, 48), _layer(32, 32)
    expected = kernels.convolve(x, weight, bias)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(kernels.convolve, x, weight, bias) for _ in range(4)]
        assert all(torch.equal(call.result(), expected) for call in calls)


# For a content of 96x96 and a style of 96x48: products, and bytes of memory asked for.
BUDGETS = {"winograd": (4_300_000_000, 500_000_000), "direct": (11_500_000_000, 220_000_000)}


@each_way
def test_a_transfer_stays_within_its_budget(way: str, choose: Choose) -> None:
    choose(way)
    kernels.prepare()  # trying the kernels out is no work of the transfer
    content, style = unlabelled(random_image(96, 96)), unlabelled(random_image(96, 48))
    engine = seeded_engine()
    with count_work() as work:
        transfer(content, style, [Pair(0, None)], engine)
    products, allocated = BUDGETS[way]
    assert work.convolutions == 22 + 21  # the style needs no picture
    assert 0.95 * products < work.products <= products
    assert work.allocated <= allocated


@pytest.mark.parametrize("reflect", [True, False])
def test_padding_may_keep_features_pixel_by_pixel(reflect: bool) -> None:
    x = torch.rand(1, 5, 4, 6).to(memory_format=torch.channels_last)
    found = kernels.pad_channels_last(x, reflect=reflect)
    assert torch.equal(found, kernels.pad(x, reflect=reflect))
    assert found.is_contiguous(memory_format=torch.channels_last)
