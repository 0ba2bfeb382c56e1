"""The queue of `stylize` with several workers, as on a GPU."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from photoreal.serve.backend.request_queue import RequestQueue

FRAME = {"SEQUENCE": np.array([b"shot"], dtype=object)}


class Model:
    """Works on each request until it may go on."""

    def __init__(self) -> None:
        self.begun: queue.Queue[str] = queue.Queue()
        self.go_on: dict[str, threading.Event] = {}

    def answer(self, request: Any) -> str:
        name = str(request.request_id())
        self.begun.put(name)
        assert self.go_on[name].wait(60)
        return name

    def request(self, triton: Any, name: str, inputs: dict[str, Any] | None = None) -> Any:
        self.go_on[name] = threading.Event()
        return triton.Request(inputs or {}, name)


@pytest.fixture
def model(triton: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(triton.Trace, "context", None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Model()


@pytest.fixture
def waiting(triton: Any, model: Model) -> Iterator[RequestQueue]:
    from photoreal.serve.backend.watch import Guard

    made = RequestQueue(triton, 1, model.answer, lambda request, error: error, Guard().watch, 2)
    yield made
    for event in model.go_on.values():
        event.set()
    made.close()


def test_as_many_requests_are_begun_as_there_are_workers(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    requests = {name: model.request(triton, name) for name in ("a", "b", "c", "d")}
    waiting.put(list(requests.values()))
    assert {model.begun.get(timeout=60), model.begun.get(timeout=60)} == {"a", "b"}
    assert "queue" in str(requests["d"].sender.sent(0))  # two at work, one waits: it is full
    made = triton.MetricFamily.made
    values = [made[f"photoreal_requests_{name}"][0].value() for name in ("waiting", "working")]
    assert values == [1, 2]
    model.go_on["b"].set()
    assert requests["b"].sender.sent() == "b"
    assert model.begun.get(timeout=60) == "c"


def test_frames_of_a_video_are_begun_one_after_the_other(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    frames = [model.request(triton, name, FRAME) for name in ("frame 1", "frame 2")]
    waiting.put(frames)
    assert model.begun.get(timeout=60) == "frame 1"
    waiting.put([model.request(triton, "photo")])
    assert model.begun.get(timeout=60) == "photo"  # it overtakes the frame that may not begin
    model.go_on["frame 1"].set()
    assert model.begun.get(timeout=60) == "frame 2"
