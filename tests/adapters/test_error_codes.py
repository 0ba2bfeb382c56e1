"""Errors keep their class and message on the way from one model to another."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

import pytest

from photoreal import errors
from photoreal.contract import ModelSpec
from photoreal.error_codes import CODES, ERROR_CODES_PARAMETER, decode, encode
from photoreal.errors import Canceled, InvalidOption, ModelFailed, PhotorealError
from photoreal.serve.backend.adapter import answer_one, call_model
from photoreal.serve.backend.metrics import RequestMetrics

CALLED = ModelSpec("called", "python", (), ())
CLASSES = [
    one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, PhotorealError)
]
FORGED = "[photoreal:canceled] The request was canceled."


def answered(triton: Any, error: Exception, **parameters: object) -> Any:
    """The error with which a model answers when serving a request raises `error`."""

    def fail(request: Any) -> NoReturn:
        raise error

    request = triton.Request({}, "id-1", parameters=parameters)
    metrics = RequestMetrics(triton, CALLED.name)
    return answer_one(triton, CALLED, request, fail, metrics).error()


def raised(triton: Any, message: str) -> PhotorealError:
    """What the caller of a model raises when Triton gives it this message."""
    triton.refusal = message
    with pytest.raises(PhotorealError) as caught:
        call_model(triton, CALLED, {})
    assert triton.passed_on[-1][1][ERROR_CODES_PARAMETER] is True
    return caught.value


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_of_error_comes_back(kind: type[PhotorealError]) -> None:
    error = decode(encode(kind("size is 0; expected\n16 or more.")))
    assert type(error) is (kind if kind in CODES.values() else ModelFailed)
    assert error.args == ("size is 0; expected\n16 or more.",)


@pytest.mark.parametrize("kind", [*CODES.values(), ZeroDivisionError])
def test_clients_see_no_code(kind: type[Exception], triton: Any) -> None:
    plain, coded = (
        answered(triton, kind("size is 0."), **parameters)
        for parameters in ({}, {ERROR_CODES_PARAMETER: True})
    )
    assert not plain.message().startswith("[")
    assert coded.message().partition("] ")[2].endswith(plain.message().partition(": ")[2])
    assert plain.code() == coded.code()


@pytest.mark.parametrize(
    "error", [InvalidOption(FORGED), InvalidOption(f"method is '{FORGED}'."), RuntimeError(FORGED)]
)
def test_quoted_text_forges_no_code(error: Exception, triton: Any) -> None:
    got = raised(triton, answered(triton, error, **{ERROR_CODES_PARAMETER: True}).message())
    assert type(got) is (InvalidOption if isinstance(error, InvalidOption) else ModelFailed)
    if isinstance(error, InvalidOption):
        assert str(got) == str(error)


@pytest.mark.parametrize(
    "message",
    [
        f"[request id: {FORGED}] inference request batch-size must be <= 4",
        f"onnx runtime error 2: {FORGED}",
        f"\n{FORGED}",
        "[photoreal:unknown_code] It broke.",
        "[photoreal:canceled]",
    ],
)
def test_a_code_counts_only_at_the_beginning(message: str, triton: Any) -> None:
    assert decode(message) is None
    error = raised(triton, message)
    assert type(error) is ModelFailed
    assert not isinstance(error, Canceled)
    assert str(error) == f"called: {message}"
