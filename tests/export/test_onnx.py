"""Networks as ONNX files, in ONNX Runtime against PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from torch import Tensor, nn

from photoreal import contract
from photoreal.contract import LEVELS, UNPOOLS, ModelSpec, Unpool
from photoreal.errors import ExportError
from photoreal.export.onnx import CHECKED, OPSET, TRACED, check_onnx, export_onnx
from photoreal.export.wrappers import DecoderLevel, EncoderLevel, Labels
from photoreal.networks.fast.kernels import CONVOLUTION_VARIABLE
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.serve.backend.onnxruntime.session import open_session
from photoreal.weights.segmenters import DEFAULT_SEGMENTER, load_segmenter
from tests.kinds import Array, Patch, TempFolders
from tests.shared import seeded_networks

Level = EncoderLevel | DecoderLevel
Exported = Callable[[Unpool, str, str], tuple[Level, Path]]

NETWORKS = [f"{network} {level}" for network in ("encoder", "decoder") for level in LEVELS]
OTHER_SIZES = [(1, 24, 136), (2, 80, 56), (3, 16, 40)]
"""Batch, height and width of pictures that neither the trace nor the check has seen."""


def _level(network: str, encoder: Encoder, decoder: Decoder) -> Level:
    kind, number = network.split()
    if kind == "encoder":
        return EncoderLevel(encoder, int(number)).eval()
    return DecoderLevel(decoder, int(number)).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: TempFolders) -> Exported:
    """Gives a level with seeded parameters and its file, exported once."""

    @cache
    def export(unpool: Unpool, network: str, precision: str) -> tuple[Level, Path]:
        module = _level(network, *copy.deepcopy(seeded_networks(unpool)))
        path = tmp_path_factory.mktemp("models") / "model.onnx"
        export_onnx(module, module.spec, path, precision)
        return module, path

    return export


def _inputs(spec: ModelSpec, size: tuple[int, int, int]) -> list[Tensor]:
    """Features as they come out of a network: positive, some of them large."""
    batch, height, width = size
    generator = torch.Generator().manual_seed(height)
    return [
        3
        * torch.randn(
            (batch, tensor.dims[0], height // tensor.stride, width // tensor.stride),
            generator=generator,
        ).abs()
        for tensor in spec.inputs
    ]


def _largest_error(module: nn.Module, spec: ModelSpec, path: Path) -> float:
    session = open_session(path)
    worst = 0.0
    for size in OTHER_SIZES:
        inputs = _inputs(spec, size)
        with torch.inference_mode():
            expected = module(*inputs)
        feed = {name: x.numpy() for name, x in zip(spec.input_names(), inputs, strict=True)}
        for ours, theirs in zip(expected, session.run(spec.output_names(), feed), strict=True):
            assert theirs.shape == ours.shape
            assert theirs.dtype == np.float32
            worst = max(worst, np.abs(theirs - ours.numpy()).max() / ours.abs().max().item())
    return float(worst)


@pytest.fixture(autouse=True)
def _direct_convolution(monkeypatch: Patch) -> None:
    """The numbers to match are those of PyTorch's own convolution, as ONNX Runtime's are."""
    monkeypatch.setenv(CONVOLUTION_VARIABLE, "direct")


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("unpool", UNPOOLS)
def test_every_level_gives_the_network_s_numbers(
    unpool: Unpool, network: str, exported: Exported
) -> None:
    assert not set(OTHER_SIZES) & {TRACED, *CHECKED}
    module, path = exported(unpool, network, "fp32")
    assert check_onnx(module, module.spec, path, "fp32") < 1e-5
    assert _largest_error(module, module.spec, path) < 1e-5


@pytest.mark.parametrize(
    ("unpool", "network"),
    [("cat5", "encoder 2"), ("cat5", "decoder 4"), ("sum", "encoder 1"), ("sum", "decoder 2")],
)
def test_half_precision_is_close_between_single_precision_tensors(
    unpool: Unpool, network: str, exported: Exported
) -> None:
    module, path = exported(unpool, network, "fp16")
    assert 0 < check_onnx(module, module.spec, path, "fp16") < 1e-2
    whole = _level(network, *seeded_networks(unpool))
    assert _largest_error(whole, whole.spec, path) < 1e-2
    weights = {one.data_type for one in onnx.load(path).graph.initializer if one.dims}
    assert onnx.TensorProto.FLOAT16 in weights
    assert onnx.TensorProto.FLOAT not in weights


def test_export_leaves_the_network_in_single_precision(exported: Exported) -> None:
    module, _ = exported("sum", "encoder 1", "fp16")
    assert {value.dtype for value in module.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("network", ["encoder 2", "decoder 3"])
def test_file_has_the_contract_s_names_and_free_sizes(network: str, exported: Exported) -> None:
    module, path = exported("cat5", network, "fp32")
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert [one.version for one in model.opset_import if not one.domain] == [OPSET]
    assert list(path.parent.iterdir()) == [path]  # nothing beside the file
    for values, specs in (
        (model.graph.input, module.spec.inputs),
        (model.graph.output, module.spec.outputs),
    ):
        assert [value.name for value in values] == [tensor.name for tensor in specs]
        for value, tensor in zip(values, specs, strict=True):
            batch, channels, *sides = value.type.tensor_type.shape.dim
            assert channels.dim_value == tensor.dims[0]
            assert not batch.HasField("dim_value")
            assert not any(side.HasField("dim_value") for side in sides)


def _swap(weight: Array) -> Array:
    return np.roll(weight, 1, axis=0)


def _scale(weight: Array) -> Array:
    return weight * np.float32(1.01)


def _spoil(weight: Array) -> Array:
    spoiled = weight.copy()
    spoiled.flat[0] = np.nan
    return spoiled


@pytest.mark.parametrize("damage", [_swap, _scale, _spoil])
@pytest.mark.parametrize("network", ["encoder 1", "decoder 1"])
def test_a_damaged_file_does_not_pass_the_check(
    network: str, damage: Callable[[Array], Array], exported: Exported, tmp_path: Path
) -> None:
    module, path = exported("cat5", network, "fp32")
    model = onnx.load(path)
    weight = next(one for one in model.graph.initializer if len(one.dims) == 4)
    changed = numpy_helper.from_array(damage(numpy_helper.to_array(weight)), weight.name)
    weight.CopyFrom(changed)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=rf"{module.spec.name} does not agree .*off by") as no:
        check_onnx(module, module.spec, tmp_path / "model.onnx", "fp32")
    assert str(tmp_path) not in str(no.value)


PHOTO = Path(__file__).parents[2] / "examples/photos/china.jpg"
REPOSITORY_FILE = Path(__file__).parents[2] / "model_repository/segmenter/1/model.onnx"


@pytest.fixture(scope="module")
def segmenter() -> nn.Module:
    """The one that comes with photoreal."""
    return Labels(load_segmenter(DEFAULT_SEGMENTER)[0]).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def segmenter_file(segmenter: nn.Module, tmp_path_factory: TempFolders) -> Path:
    """As `make test` has exported it: an export takes half a minute."""
    if REPOSITORY_FILE.exists():
        return REPOSITORY_FILE
    path = tmp_path_factory.mktemp("segmenter") / "model.onnx"
    export_onnx(segmenter, contract.SEGMENTER, path, "fp32")
    return path


@pytest.mark.parametrize("size", [(1, 37, 61), (2, 101, 77), (3, 64, 48), (1, 33, 130)])
def test_segmenter_gives_the_network_s_labels_and_probabilities_at_any_size(
    size: tuple[int, int, int], segmenter: nn.Module, segmenter_file: Path
) -> None:
    batch, height, width = size
    with Image.open(PHOTO) as photo:
        small = np.asarray(photo.resize((width, height)), dtype=np.float32) / 255
    one = torch.from_numpy(small).permute(2, 0, 1)
    pictures = torch.stack([one.roll(7 * item, dims=2) for item in range(batch)])
    labels, probabilities = segmenter(pictures)
    names, session = contract.SEGMENTER.output_names(), open_session(segmenter_file)
    both = session.run(names, {"IMAGE": pictures.numpy()})
    assert [one.dtype for one in both] == [np.uint8, np.float32]
    assert np.mean(both[0] == labels.numpy()) > 0.999  # rounding may tip a pixel
    assert len(np.unique(both[0])) > 1
    assert both[1].shape == probabilities.shape
    np.testing.assert_allclose(both[1], probabilities.numpy(), atol=1e-4)
    np.testing.assert_allclose(both[1].sum(axis=1), 1, atol=1e-5)
    for name, one in zip(names, both, strict=True):  # either can be had alone
        np.testing.assert_array_equal(session.run([name], {"IMAGE": pictures.numpy()})[0], one)


def test_segmenter_passes_its_check_and_another_one_does_not(
    segmenter: nn.Module, segmenter_file: Path
) -> None:
    assert check_onnx(segmenter, contract.SEGMENTER, segmenter_file, "fp32") < 1e-3
    other = copy.deepcopy(segmenter)
    for weight in other.get_submodule("network.decoder.conv_last").parameters():
        weight.copy_(weight.roll(1, dims=0))
    with pytest.raises(ExportError, match=r"segmenter does not agree .*LABELS"):
        check_onnx(other, contract.SEGMENTER, segmenter_file, "fp32")


def test_segmenter_in_half_precision_gives_nearly_the_same_labels(
    segmenter: nn.Module, tmp_path: Path
) -> None:
    export_onnx(segmenter, contract.SEGMENTER, tmp_path / "model.onnx", "fp16")
    assert check_onnx(segmenter, contract.SEGMENTER, tmp_path / "model.onnx", "fp16") <= 2e-2
