"""The device of `wct2`: how it is chosen, and what is said when it does not suffice."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
import torch

from photoreal.errors import NumericalError, ServeError
from photoreal.export.configs import model_configs
from photoreal.pipeline.sequences import SequenceStore
from photoreal.pipeline.wct2 import model as wct2
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.serve.backend.device import ASKED, Placement, chosen_placement, require_cuda
from photoreal.transfer.progressive import NetworkEngine
from photoreal.transfer.steady import SteadyMoments
from tests.kinds import Arguments, Load, Patch, Sentence, Start

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        (None, None, Placement("cpu", half=False)),
        ("cpu", "fp32", Placement("cpu", half=False)),
        ("cuda", None, Placement("cuda", half=True)),
        ("cuda", "fp32", Placement("cuda", half=False)),
    ],
)
@pytest.mark.parametrize("by", ["environment", "config"])
def test_device_and_precision_are_chosen(
    by: str,
    device: str | None,
    precision: str | None,
    expected: Placement,
    triton: Any,
    arguments: Arguments,
    monkeypatch: Patch,
) -> None:
    config = model_configs()["wct2"]
    given = {"device": device, "precision": precision}
    for name, value in given.items():
        if value and by == "environment":
            monkeypatch.setenv(f"PHOTOREAL_{name.upper()}", value)
        elif value:
            config += f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}\n'
    assert chosen_placement(arguments("wct2", config)["model_config"]) == expected


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"DEVICE": "tpu"}, "device 'tpu' is not known; expected cpu or cuda"),
        ({"PRECISION": "int8"}, "precision 'int8' is not known; expected fp32 or fp16"),
        ({"PRECISION": "fp16"}, "fp16 requires the device cuda"),
    ],
)
def test_what_cannot_be_chosen_is_a_sentence(
    variables: dict[str, str],
    words: str,
    triton: Any,
    arguments: Arguments,
    monkeypatch: Patch,
    check_sentence: Sentence,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"PHOTOREAL_{name}", value)
    with pytest.raises(ServeError, match=words) as no:
        chosen_placement(arguments("wct2")["model_config"])
    check_sentence(no.value)


class _Driver:
    """A driver with a GPU, of a version of CUDA (1000 times major)."""

    def __init__(self, version: int) -> None:
        self._version = version

    def cuDriverGetVersion(self, answer: Any) -> int:  # noqa: N802 (the library's names)
        answer._obj.value = self._version
        return 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0

    def cuDeviceGetCount(self, answer: Any) -> int:  # noqa: N802
        answer._obj.value = 1
        return 0


@pytest.mark.parametrize(
    ("driver", "built_for", "usable", "words"),
    [
        (None, "13.0", False, "there is no NVIDIA driver here; .*--device cpu"),
        (
            12080,
            "13.0",
            False,
            r"driver is too old: it supports CUDA 12\.8, but this PyTorch .* 13;",
        ),
        (13000, None, False, "this PyTorch is built without CUDA; .*--device cpu"),
        (13000, "13.0", False, "PyTorch cannot use a GPU here; .*--device cpu"),
        (13000, "13.0", True, ""),
    ],
    ids=["no driver", "too old", "no CUDA in PyTorch", "unusable", "usable"],
)
def test_a_gpu_that_is_asked_for_has_to_be_there(
    driver: int | None,
    built_for: str | None,
    usable: bool,
    words: str,
    monkeypatch: Patch,
    check_sentence: Sentence,
) -> None:
    def load(name: str) -> _Driver:
        if driver is None:
            raise OSError("cannot open shared object file")
        return _Driver(driver)

    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    if not words:
        require_cuda()
        return
    with pytest.raises(ServeError, match=words) as no:
        require_cuda()
    check_sentence(no.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="There is a GPU here.")
def test_the_model_does_not_load_without_the_gpu_that_it_is_to_use(
    start: Start, monkeypatch: Patch
) -> None:
    with pytest.raises(ServeError, match=ASKED):
        start("wct2", DEVICE="cuda")


def _pictures() -> dict[str, Any]:
    picture = np.full((3, 40, 64), 0.5, dtype=np.float32)
    return {"CONTENT": picture, "STYLE": picture}


def test_too_little_memory_refuses_the_request_alone(
    start: Start, triton: Any, monkeypatch: Patch, check_sentence: Sentence
) -> None:
    model = start("wct2")

    def full(*args: object, **how: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with monkeypatch.context() as patch:
        patch.setattr(wct2, "apply_style", full)
        (response,) = model.execute([triton.Request(_pictures())])
    error = response.error()
    assert error.code() == triton.TritonError.INVALID_ARG
    assert "too little memory for a content of 64x40 pixels; a size of 28" in error.message()
    check_sentence(error.message())
    (response,) = model.execute([triton.Request(_pictures())])
    assert not response.has_error()


def test_models_without_room_refuse_as_well(start: Start, triton: Any, monkeypatch: Patch) -> None:
    triton.refusal = "onnx runtime error 1: Failed to allocate memory for requested buffer"
    model = start("wct2", ENGINE="bls")
    (response,) = model.execute([triton.Request(_pictures())])
    assert response.error().code() == triton.TritonError.INVALID_ARG


def test_the_picture_of_half_precision_is_in_single_precision(builtin_networks: Load) -> None:
    engine = NetworkEngine(*builtin_networks("cat5"), dtype=torch.float16)
    image = wct2.serve_wct2(_pictures(), engine, StyleCache(0))["IMAGE"]
    assert image.dtype == np.float32


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (torch.float16, "half precision; serve with fp32"),
        (torch.float32, "values that are not finite"),  # those of the bls engine, too
    ],
)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_results_that_are_not_finite_are_refused(
    dtype: torch.dtype,
    words: str,
    value: float,
    start: Start,
    triton: Any,
    check_sentence: Sentence,
    monkeypatch: Patch,
) -> None:
    result = torch.ones(1, 3, 40, 64, dtype=dtype)
    result[0, 1, 2, 3] = value
    monkeypatch.setattr(wct2, "apply_style", lambda *args, **how: result)
    model = start("wct2")
    (response,) = model.execute([triton.Request(_pictures())])
    assert response.error().code() == triton.TritonError.INTERNAL
    message = response.error().message()
    assert message.startswith("The picture cannot be computed:")
    assert words in message
    check_sentence(message)


def test_a_failed_frame_does_not_spoil_the_next(builtin_networks: Load, monkeypatch: Patch) -> None:
    engine = NetworkEngine(*builtin_networks("cat5"))
    sequences = SequenceStore(SteadyMoments)
    frame = _pictures() | {"SEQUENCE": np.array([b"shot"], dtype=object)}
    first = wct2.serve_wct2(frame, engine, StyleCache(0), sequences)["IMAGE"]

    class Overflowing:
        depth = engine.depth

        def encode(self, level: int, x: torch.Tensor) -> Any:
            found = engine.encode(level, x)
            return found._replace(features=found.features * torch.nan) if level == 1 else found

        decode = staticmethod(engine.decode)

    with pytest.raises(NumericalError):
        wct2.serve_wct2(frame, Overflowing(), StyleCache(0), sequences)
    assert len(sequences) == 0
    again = wct2.serve_wct2(frame, engine, StyleCache(0), sequences)["IMAGE"]
    np.testing.assert_array_equal(again, first)
