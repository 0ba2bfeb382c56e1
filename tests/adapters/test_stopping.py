"""Adapters stop when a request's time is up or its caller is gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from torch import Tensor

from photoreal.contract import CANCEL_PARAMETER, TIMED_OUT, TIMED_OUT_IN_QUEUE
from photoreal.serve.backend import watch
from photoreal.serve.backend.canceled import CanceledKeys

pytestmark = pytest.mark.slow

Array = npt.NDArray[Any]
Load = Callable[[str], Any]

KEY = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def photos(photo: Callable[..., Any], encoded: Callable[..., bytes]) -> dict[str, Array]:
    files = (encoded(photo(16, 24, seed)) for seed in (1, 2))
    content, style = (np.array([file], dtype=object) for file in files)
    return {"CONTENT": content, "STYLE": style, "SIZE": np.array([16], dtype=np.int32)}


@pytest.fixture
def stylize(load_adapter: Load, arguments: Callable[..., dict[str, str]]) -> Any:
    model = load_adapter("model_repository/stylize/1/model.py")
    model.initialize(arguments("stylize"))
    return model


@pytest.fixture
def wct2(load_adapter: Load, arguments: Callable[..., dict[str, str]]) -> Any:
    model = load_adapter("model_repository/wct2/1/model.py")
    model.initialize(arguments("wct2"))
    return model


@pytest.fixture
def cancel(load_adapter: Load, arguments: Callable[..., dict[str, str]]) -> Any:
    model = load_adapter("model_repository/cancel/1/model.py")
    model.initialize(arguments("cancel"))
    return model


def _key(key: str) -> dict[str, Array]:
    return {"KEY": np.array([key.encode()], dtype=object)}


def _nothing(inputs: dict[str, Array]) -> dict[str, Array]:
    return {"IMAGE": inputs["CONTENT"], "STYLE_CACHED": np.array([False])}


def test_a_request_whose_time_is_up_calls_no_model(
    stylize: Any, photos: dict[str, Array], triton: Any
) -> None:
    (response,) = stylize.execute([triton.Request(photos, timeout=1)])
    assert response.error().code() == triton.TritonError.UNAVAILABLE
    assert response.error().message().startswith((TIMED_OUT, TIMED_OUT_IN_QUEUE))  # begun or not
    assert not triton.calls
    assert not triton.errors


def test_a_caller_that_goes_while_photos_are_decoded_calls_no_model(
    stylize: Any, photos: dict[str, Array], triton: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos are decoded after the first look for the caller, before the first model is called."""
    monkeypatch.setattr(watch, "POLL_S", 0.0)
    triton.models["wct2"] = _nothing
    request = triton.Request(photos)
    _Leaves(request, after=2)
    (response,) = stylize.execute([request])
    assert response.error().code() == triton.TritonError.CANCELLED
    assert not triton.calls


def test_time_and_key_are_passed_on(stylize: Any, photos: dict[str, Array], triton: Any) -> None:
    triton.models["wct2"] = _nothing
    request = triton.Request(photos, timeout=60_000_000, parameters={CANCEL_PARAMETER: KEY})
    (response,) = stylize.execute([request])
    assert not response.has_error()
    ((timeout, parameters),) = triton.passed_on
    assert 30_000_000 < timeout < 60_000_000
    assert parameters[CANCEL_PARAMETER] == KEY


def test_limits_come_from_the_environment(
    load_adapter: Load,
    arguments: Callable[..., dict[str, str]],
    photos: dict[str, Array],
    triton: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PHOTOREAL_MAX_IMAGE_BYTES", "100")
    monkeypatch.setenv("PHOTOREAL_MAX_SECONDS", "5")
    triton.models["wct2"] = _nothing
    model = load_adapter("model_repository/stylize/1/model.py")
    model.initialize(arguments("stylize"))
    (response,) = model.execute([triton.Request(photos)])
    assert response.error().code() == triton.TritonError.INVALID_ARG
    assert "expected at most 100" in response.error().message()


def test_a_model_that_was_stopped_is_no_failure(
    stylize: Any, photos: dict[str, Array], triton: Any, check_sentence: Callable[[object], None]
) -> None:
    request = triton.Request(photos)

    def is_stopped(inputs: dict[str, Array]) -> dict[str, Array]:
        request.canceled = True
        raise triton.Refused("The request was canceled.")

    triton.models["wct2"] = is_stopped
    (response,) = stylize.execute([request])
    assert response.error().code() == triton.TritonError.CANCELLED
    check_sentence(response.error().message())
    assert not triton.errors


def test_a_model_that_failed_is_a_failure(
    stylize: Any, photos: dict[str, Array], triton: Any
) -> None:
    def fails(inputs: dict[str, Array]) -> dict[str, Array]:
        raise triton.Refused("It broke.")

    triton.models["wct2"] = fails
    (response,) = stylize.execute([triton.Request(photos)])
    assert response.error().code() == triton.TritonError.INTERNAL


class _Leaves:
    """Makes a request's caller go away when it has been looked for so many times."""

    def __init__(self, request: Any, after: int) -> None:
        self._left = after
        request.is_cancelled = self

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def levels_begun(triton: Any) -> float:
    """What the counter of levels says."""
    (counter,) = triton.MetricFamily.made["photoreal_levels_total"]
    return float(counter.value())


@pytest.mark.parametrize("levels", [0, 3, 9, 14])
def test_wct2_stops_before_the_next_level(
    levels: int, wct2: Any, random_image: Callable[..., Tensor], triton: Any
) -> None:
    pictures = {
        "CONTENT": random_image(24, 32)[0].numpy(),
        "STYLE": random_image(32, 16, seed=levels)[0].numpy(),
    }
    request = triton.Request(pictures)
    _Leaves(request, levels)
    (response,) = wct2.execute([request])
    assert response.error().code() == triton.TritonError.CANCELLED
    assert levels_begun(triton) == levels


def test_wct2_counts_levels(wct2: Any, random_image: Callable[..., Tensor], triton: Any) -> None:
    pictures = {
        "CONTENT": random_image(24, 32)[0].numpy(),
        "STYLE": random_image(32, 16, seed=1)[0].numpy(),
    }
    for levels in (15, 15 + 8):  # the second time the style is known
        (response,) = wct2.execute([triton.Request(pictures)])
        assert not response.has_error()
        assert levels_begun(triton) == levels


def test_wct2_refuses_what_takes_too_much_memory(
    load_adapter: Load,
    arguments: Callable[..., dict[str, str]],
    random_image: Callable[..., Tensor],
    triton: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PHOTOREAL_MAX_MEMORY", "1000")
    model = load_adapter("model_repository/wct2/1/model.py")
    model.initialize(arguments("wct2"))
    image = random_image(24, 32)[0].numpy()
    (response,) = model.execute([triton.Request({"CONTENT": image, "STYLE": image})])
    assert response.error().code() == triton.TritonError.INVALID_ARG
    assert "MB of memory" in response.error().message()


def test_a_key_reaches_the_model_at_work(
    cancel: Any, wct2: Any, random_image: Callable[..., Tensor], triton: Any
) -> None:
    (accepted,) = cancel.execute([triton.Request(_key(KEY))])
    assert accepted.output_tensors()[0].as_numpy().tolist() == [True]
    image = random_image(16, 16)[0].numpy()
    request = triton.Request({"CONTENT": image, "STYLE": image}, parameters={CANCEL_PARAMETER: KEY})
    (response,) = wct2.execute([request])
    assert response.error().code() == triton.TritonError.CANCELLED
    cancel.finalize()
    assert KEY not in CanceledKeys()


def test_what_is_no_key_is_refused(
    cancel: Any, triton: Any, check_sentence: Callable[[object], None], tmp_path: Path
) -> None:
    before = set(tmp_path.rglob("*"))
    (response,) = cancel.execute([triton.Request(_key("../../escape"))])
    assert response.error().code() == triton.TritonError.INVALID_ARG
    check_sentence(response.error().message())
    assert set(tmp_path.rglob("*")) == before
