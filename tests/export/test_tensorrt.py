"""TensorRT engines: their profiles, and the calls that build them, on a stand-in."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from unittest.mock import MagicMock, call

import pytest
import torch

from photoreal import contract
from photoreal.contract import UNPOOLS, ModelSpec, Unpool
from photoreal.errors import ExportError
from photoreal.export.tensorrt import (
    BEST_SIDE,
    DEFAULT_MAX_SIDE,
    MIN_SIDE,
    build_engine,
    profiles,
    require_tensorrt,
)
from photoreal.preprocess import Limits
from tests.kinds import Patch
from tests.shared import refused


@pytest.mark.parametrize("max_side", [512, DEFAULT_MAX_SIDE, 2048])
@pytest.mark.parametrize("unpool", UNPOOLS)
def test_profiles_of_one_model_are_of_the_same_pictures(unpool: Unpool, max_side: int) -> None:
    for spec in (contract.SEGMENTER, *contract.network_levels(unpool)):
        found = profiles(spec, max_side)
        assert list(found) == spec.input_names()
        best = 448 if spec is contract.SEGMENTER else min(BEST_SIDE, max_side)
        for tensor in spec.inputs:
            for shape, side in zip(found[tensor.name], (MIN_SIDE, best, max_side), strict=True):
                # One picture: TensorRT reserves memory for the largest batch, and none comes.
                assert shape == (1, tensor.dims[0], side // tensor.stride, shape[2])
                assert shape[2] * tensor.stride == side  # a whole number of pixels


def test_skips_lie_at_the_size_that_their_level_gives_or_takes() -> None:
    for unpool in UNPOOLS:
        for level in (4, 3, 2):
            found = profiles(contract.decoder(level, unpool))
            for kind in range(3):
                side = found["FEATURES"][kind][2]
                assert {found[band][kind][2] for band in contract.BANDS} == {side}
                if unpool == "cat5":
                    assert found[contract.ORIGINAL][kind][2] == 2 * side


@pytest.fixture
def tensorrt(monkeypatch: Patch) -> MagicMock:
    """A stand-in for the package, on a machine with a GPU."""
    fake = MagicMock(__spec__=ModuleSpec("tensorrt", None))
    fake.NetworkDefinitionCreationFlag.EXPLICIT_BATCH = 0
    fake.OnnxParser().num_errors = 2
    fake.OnnxParser().get_error = "reason {}".format
    fake.Builder().build_serialized_network.return_value = b"engine"
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return fake


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"network")
    return path


SPEC: ModelSpec = contract.decoder(3)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("flags", [True, False], ids=["with flags", "without flags"])
def test_an_engine_is_built_with_the_profile_of_every_input(
    flags: bool, precision: str, onnx_file: Path, tensorrt: MagicMock
) -> None:
    """Later releases know one kind of network and no flags for its precision."""
    if not flags:
        del tensorrt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH, tensorrt.BuilderFlag.FP16
    plan = onnx_file.with_name("model.plan")
    build_engine(SPEC, onnx_file, plan, precision, 640)
    assert plan.read_bytes() == b"engine"
    builder = tensorrt.Builder()
    builder.create_network.assert_called_once_with(1 if flags else 0)
    tensorrt.OnnxParser().parse.assert_called_once_with(b"network")
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    half = [call(tensorrt.BuilderFlag.FP16)] if precision == "fp16" and flags else []
    assert config.set_flag.mock_calls == half
    expected = [call(name, *bounds) for name, bounds in profiles(SPEC, 640).items()]
    assert profile.set_shape.mock_calls == expected
    config.add_optimization_profile.assert_called_once_with(profile)
    builder.build_serialized_network.assert_called_once_with(builder.create_network(), config)


@pytest.mark.parametrize("fails", ["parser", "builder"])
def test_a_failing_build_writes_nothing(fails: str, onnx_file: Path, tensorrt: MagicMock) -> None:
    words = "cannot read wct2_decoder_3: reason 0; reason 1"
    if fails == "parser":
        tensorrt.OnnxParser().parse.return_value = False
    else:
        tensorrt.Builder().build_serialized_network.return_value = None
        words = "an engine for wct2_decoder_3"
    with pytest.raises(ExportError, match=words):
        build_engine(SPEC, onnx_file, onnx_file.with_name("model.plan"), "fp32")
    assert list(onnx_file.parent.iterdir()) == [onnx_file]


def test_without_a_gpu_or_the_package_the_sentence_says_what_to_do(
    tensorrt: MagicMock, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with refused(ExportError, r"GPU .*without --tensorrt"):
        require_tensorrt()
    monkeypatch.delitem(sys.modules, "tensorrt")
    with refused(ExportError, r"is missing; .*without --tensorrt"):
        require_tensorrt()


def test_engines_serve_the_smallest_pictures_that_the_server_takes() -> None:
    """It also finds out with a small one whether it works."""
    assert Limits().min_size >= MIN_SIDE
