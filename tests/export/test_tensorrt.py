"""TensorRT engines: their profiles, and the calls that build them, on a stand-in."""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

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


class FakeTensorRT(ModuleType):
    """Notes the calls; parses and builds unless told otherwise."""

    def __init__(self, *, parses: bool = True, builds: bool = True, flags: bool = True) -> None:
        super().__init__("tensorrt")
        self.__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
        self.calls: list[tuple[Any, ...]] = []
        calls = self.calls

        class Logger:
            WARNING = 2

            def __init__(self, level: int) -> None:
                calls.append(("logger", level))

        class Profile:
            def set_shape(self, name: str, *bounds: tuple[int, ...]) -> None:
                calls.append(("shape", name, *bounds))

        class Config:
            def set_flag(self, flag: str) -> None:
                calls.append(("flag", flag))

            def add_optimization_profile(self, profile: Profile) -> None:
                calls.append(("profile",))

        class Builder:
            def __init__(self, logger: Logger) -> None:
                pass

            def create_network(self, flags: int) -> str:
                calls.append(("network", flags))
                return "network"

            def create_builder_config(self) -> Config:
                return Config()

            def create_optimization_profile(self) -> Profile:
                return Profile()

            def build_serialized_network(self, network: str, config: Config) -> bytes | None:
                calls.append(("build", network))
                return b"engine" if builds else None

        class OnnxParser:
            num_errors = 2

            def __init__(self, network: str, logger: Logger) -> None:
                pass

            def parse(self, data: bytes) -> bool:
                calls.append(("parse", data))
                return parses

            def get_error(self, index: int) -> str:
                return f"reason {index}"

        self.Logger, self.Builder, self.OnnxParser = Logger, Builder, OnnxParser
        # Later releases know one kind of network and no flags for its precision.
        self.NetworkDefinitionCreationFlag = SimpleNamespace(
            **({"EXPLICIT_BATCH": 0} if flags else {})
        )
        self.BuilderFlag = SimpleNamespace(**({"FP16": "half"} if flags else {}))


@pytest.fixture
def gpu(monkeypatch: Patch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"network")
    return path


SPEC: ModelSpec = contract.decoder(3)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("flags", [True, False], ids=["with flags", "without flags"])
def test_an_engine_is_built_with_the_profile_of_every_input(
    flags: bool, precision: str, onnx_file: Path, monkeypatch: Patch
) -> None:
    fake = FakeTensorRT(flags=flags)
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    plan = onnx_file.with_name("model.plan")
    build_engine(SPEC, onnx_file, plan, precision, 640)
    assert plan.read_bytes() == b"engine"
    half = [("flag", "half")] if precision == "fp16" and flags else []
    assert fake.calls == [
        ("logger", 2),
        ("network", 1 if flags else 0),
        ("parse", b"network"),
        *half,
        *(("shape", name, *bounds) for name, bounds in profiles(SPEC, 640).items()),
        ("profile",),
        ("build", "network"),
    ]


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (FakeTensorRT(parses=False), "cannot read wct2_decoder_3: reason 0; reason 1"),
        (FakeTensorRT(builds=False), "built no engine for wct2_decoder_3"),
    ],
    ids=["parser", "builder"],
)
def test_a_failing_build_writes_nothing(
    fake: FakeTensorRT, words: str, onnx_file: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    with pytest.raises(ExportError, match=words):
        build_engine(SPEC, onnx_file, onnx_file.with_name("model.plan"), "fp32")
    assert list(onnx_file.parent.iterdir()) == [onnx_file]


def test_without_the_package_or_a_gpu_the_sentence_says_what_to_do(
    monkeypatch: Patch, check_sentence: Any
) -> None:
    with pytest.raises(ExportError, match=r"not installed; .*without --tensorrt") as no:
        require_tensorrt()
    check_sentence(no.value)
    monkeypatch.setitem(sys.modules, "tensorrt", FakeTensorRT())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ExportError, match=r"built on the GPU .*none here; .*without") as no:
        require_tensorrt()
    check_sentence(no.value)


def test_engines_serve_the_smallest_pictures_that_the_server_takes() -> None:
    """It also finds out with a small one whether it works."""
    assert Limits().min_size >= MIN_SIDE
