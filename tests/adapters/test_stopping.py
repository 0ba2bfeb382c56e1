"""Adapters stop when a request's time is up or its caller is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoreal.contract import CANCEL_PARAMETER, TIMED_OUT, TIMED_OUT_IN_QUEUE
from photoreal.serve.backend import watch
from photoreal.serve.backend.canceled import CanceledKeys
from tests.kinds import Array, Patch, Start
from tests.shared import check_sentence, random_image

pytestmark = pytest.mark.slow


KEY = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def wct2(start: Start) -> Any:
    return start("wct2")


@pytest.fixture
def cancel(start: Start) -> Any:
    return start("cancel")


def _key(key: str) -> dict[str, Array]:
    return {"KEY": np.array([key.encode()], dtype=object)}


def test_a_request_whose_time_is_up_calls_no_model(
    stylize: Any, photos: dict[str, Array], triton: Any
) -> None:
    (response,) = stylize.execute([triton.Request(photos, timeout=1)])
    assert response.error().code() == triton.TritonError.UNAVAILABLE
    assert response.error().message().startswith((TIMED_OUT, TIMED_OUT_IN_QUEUE))  # begun or not
    assert not triton.calls
    assert not triton.errors


def test_a_caller_that_goes_while_photos_are_decoded_calls_no_model(
    stylize: Any, photos: dict[str, Array], triton: Any, monkeypatch: Patch
) -> None:
    """Photos are decoded after the first look for the caller, before the first model is called."""
    monkeypatch.setattr(watch, "POLL_S", 0.0)
    request = triton.Request(photos)
    _Leaves(request, after=2)
    (response,) = stylize.execute([request])
    assert response.error().code() == triton.TritonError.CANCELLED
    assert not triton.calls


def test_time_and_key_are_passed_on(stylize: Any, photos: dict[str, Array], triton: Any) -> None:
    request = triton.Request(photos, timeout=60_000_000, parameters={CANCEL_PARAMETER: KEY})
    (response,) = stylize.execute([request])
    assert not response.has_error()
    ((timeout, parameters),) = triton.passed_on
    assert 30_000_000 < timeout < 60_000_000
    assert parameters[CANCEL_PARAMETER] == KEY


@pytest.mark.parametrize(("stopped", "code"), [(True, "CANCELLED"), (False, "INTERNAL")])
def test_only_a_model_that_was_not_stopped_has_failed(
    stylize: Any, photos: dict[str, Array], triton: Any, stopped: bool, code: str
) -> None:
    request = triton.Request(photos)

    def fails(inputs: dict[str, Array]) -> dict[str, Array]:
        request.canceled = stopped
        raise triton.Refused("The request was canceled." if stopped else "It broke.")

    triton.models["wct2"] = fails
    (response,) = stylize.execute([request])
    assert response.error().code() == getattr(triton.TritonError, code)
    check_sentence(response.error().message())
    assert bool(triton.errors) != stopped


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
def test_wct2_stops_before_the_next_level(levels: int, wct2: Any, triton: Any) -> None:
    pictures = {
        "CONTENT": random_image(24, 32)[0].numpy(),
        "STYLE": random_image(32, 16, seed=levels)[0].numpy(),
    }
    request = triton.Request(pictures)
    _Leaves(request, levels)
    (response,) = wct2.execute([request])
    assert response.error().code() == triton.TritonError.CANCELLED
    assert levels_begun(triton) == levels


def test_wct2_counts_levels(wct2: Any, triton: Any) -> None:
    pictures = {
        "CONTENT": random_image(24, 32)[0].numpy(),
        "STYLE": random_image(32, 16, seed=1)[0].numpy(),
    }
    for levels in (15, 15 + 8):  # the second time the style is known
        (response,) = wct2.execute([triton.Request(pictures)])
        assert not response.has_error()
        assert levels_begun(triton) == levels


def test_a_key_reaches_the_model_at_work(cancel: Any, wct2: Any, triton: Any) -> None:
    (accepted,) = cancel.execute([triton.Request(_key(KEY))])
    assert accepted.output_tensors()[0].as_numpy().tolist() == [True]
    image = random_image(16, 16)[0].numpy()
    request = triton.Request({"CONTENT": image, "STYLE": image}, parameters={CANCEL_PARAMETER: KEY})
    (response,) = wct2.execute([request])
    assert response.error().code() == triton.TritonError.CANCELLED
    cancel.finalize()
    assert KEY not in CanceledKeys()


def test_invalid_keys_are_refused(cancel: Any, triton: Any, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    (response,) = cancel.execute([triton.Request(_key("../../escape"))])
    assert response.error().code() == triton.TritonError.INVALID_ARG
    check_sentence(response.error().message())
    assert set(tmp_path.rglob("*")) == before
