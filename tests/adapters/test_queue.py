"""The queue of `stylize`: who is answered when, and who is turned away."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from photoreal.contract import CANARY_ID, QUEUE_IS_FULL, TIMED_OUT_IN_QUEUE
from photoreal.serve.backend import request_queue
from photoreal.serve.backend.request_queue import RequestQueue
from tests.kinds import Patch
from tests.shared import check_sentence

FRAME = {"SEQUENCE": np.array([b"shot"], dtype=object)}


class Model:
    """A model that works on a request until it is told to go on."""

    def __init__(self) -> None:
        self.begun: queue.Queue[str] = queue.Queue()
        self.go_on = threading.Semaphore(0)
        self.go_on_with: dict[str, threading.Semaphore] = {}

    def answer(self, request: Any) -> str:
        name = request.request_id()
        self.begun.put(name)
        assert self.go_on_with.get(name, self.go_on).acquire(timeout=60)
        return f"the answer to {name}"


@pytest.fixture
def model(triton: Any, tmp_path: Any, monkeypatch: Patch) -> Model:
    monkeypatch.setattr(triton.Trace, "context", None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(request_queue, "CHECK_INTERVAL_S", 0.01)
    return Model()


@pytest.fixture
def workers() -> int:
    return 1


@pytest.fixture
def waiting(triton: Any, model: Model, workers: int) -> Iterator[RequestQueue]:
    """A queue with room for three."""
    from photoreal.serve.backend.watch import Guard

    guard = Guard().watch
    made = RequestQueue(triton, 3, model.answer, lambda request, error: error, guard, workers)
    yield made
    model.go_on.release(100)
    made.close()
    assert not [
        one for one in threading.enumerate() if one.name in ("_serve_next", "_check_waiting")
    ]


def _begin(waiting: RequestQueue, model: Model, triton: Any) -> Any:
    """A request that is being worked on."""
    request = triton.Request({}, "first")
    waiting.put([request])
    assert model.begun.get(timeout=60) == "first"
    return request


def _counts(triton: Any) -> tuple[float, float]:
    made = triton.MetricFamily.made
    (wait,), (work,) = made["photoreal_requests_waiting"], made["photoreal_requests_working"]
    return wait.value(), work.value()


def test_requests_are_answered_one_after_the_other(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    assert _counts(triton) == (0, 0)
    requests = [_begin(waiting, model, triton)]
    for name in ("second", "third"):
        requests.append(triton.Request({}, name))
        waiting.put([requests[-1]])
    assert _counts(triton) == (2, 1)
    assert model.begun.empty()
    for name, then in (("first", "second"), ("second", "third")):
        model.go_on.release()
        assert requests.pop(0).sender.sent() == f"the answer to {name}"
        assert model.begun.get(timeout=60) == then
    model.go_on.release()
    assert requests[0].sender.sent() == "the answer to third"
    (seconds,) = triton.MetricFamily.made["photoreal_queue_seconds"]
    assert len(seconds.observed) == 3


def test_there_is_no_pause_between_two_requests(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    """The bound is a tenth of the pause that Triton's batcher makes."""
    first, pauses = _begin(waiting, model, triton), []
    for number in range(10):
        following = triton.Request({}, str(number))
        waiting.put([following])
        model.go_on.release()
        first.sender.sent()
        start = time.monotonic()
        assert model.begun.get(timeout=60) == str(number)
        pauses.append(time.monotonic() - start)
        first = following
    assert sorted(pauses)[len(pauses) // 2] < 0.05


def test_frames_and_canaries_wait_behind_interactive_requests(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    _begin(waiting, model, triton)
    waiting.put([triton.Request(FRAME, "frame")])
    waiting.put([triton.Request({}, CANARY_ID)])
    waiting.put([triton.Request({}, "interactive")])
    model.go_on.release(4)
    assert [model.begun.get(timeout=60) for _ in range(3)] == ["interactive", "frame", CANARY_ID]


def test_steady_load_does_not_starve_a_canary(
    waiting: RequestQueue, model: Model, triton: Any, monkeypatch: Patch
) -> None:
    _begin(waiting, model, triton)
    waiting.put([triton.Request({}, CANARY_ID)])
    monkeypatch.setattr(request_queue, "STARVED_S", 0.0)
    for number in range(2):  # an interactive request always waits
        waiting.put([triton.Request({}, f"interactive {number}")])
    model.go_on.release(4)
    assert [model.begun.get(timeout=60) for _ in range(2)] == [CANARY_ID, "interactive 0"]


def test_without_room_a_request_is_turned_away_at_once(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    _begin(waiting, model, triton)
    for name in ("a", "b", "c"):
        waiting.put([triton.Request({}, name)])
    late = triton.Request({}, "late")
    waiting.put([late])
    error = late.sender.sent(0)  # it is there before `put` returns
    assert str(error).startswith(QUEUE_IS_FULL)
    check_sentence(error)
    assert _counts(triton) == (3, 1)
    model.go_on.release()
    assert model.begun.get(timeout=60) == "a"
    waiting.put([again := triton.Request({}, "again")])
    with pytest.raises(queue.Empty):
        again.sender.sent(0)


def test_time_in_the_queue_counts(waiting: RequestQueue, model: Model, triton: Any) -> None:
    _begin(waiting, model, triton)
    short = triton.Request({}, "short", timeout=100_000)
    waiting.put([short])
    error = short.sender.sent()
    assert str(error) == f"{TIMED_OUT_IN_QUEUE}: the request was in the queue for 0.1 s."
    check_sentence(error)
    assert model.begun.empty()
    assert _counts(triton) == (0, 1)


def test_a_request_whose_caller_left_is_skipped(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    _begin(waiting, model, triton)
    left, stays = triton.Request({}, "left"), triton.Request({}, "stays")
    for one in (left, stays):
        waiting.put([one])
    left.canceled = True
    assert "canceled" in str(left.sender.sent())
    model.go_on.release()
    assert model.begun.get(timeout=60) == "stays"


def test_a_request_with_a_trace_is_answered_before_its_trace_ends(
    waiting: RequestQueue, model: Model, triton: Any, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(triton.Trace, "context", "{}")
    request = triton.Request({}, "traced")
    execute = threading.Thread(target=waiting.put, args=([request],))
    execute.start()
    assert model.begun.get(timeout=60) == "traced"
    execute.join(0.1)
    assert execute.is_alive()
    model.go_on.release()
    execute.join(60)
    assert not execute.is_alive()
    assert request.sender.sent(0) == "the answer to traced"


def test_an_answer_that_cannot_be_sent_does_not_end_the_work(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    def fail(response: object, flags: int) -> None:
        raise RuntimeError("The client is gone.")

    _begin(waiting, model, triton).sender.send = fail
    waiting.put([triton.Request({}, "second")])
    model.go_on.release()
    assert model.begun.get(timeout=60) == "second"
    assert "The client is gone." in triton.errors[0]


def test_triton_is_not_asked_about_a_request_that_has_been_answered(
    waiting: RequestQueue, model: Model, triton: Any
) -> None:
    """Triton frees a request with its answer, and crashes if it is asked about it afterwards."""
    first = _begin(waiting, model, triton)
    second, third = triton.Request({}, "second"), triton.Request({}, "third")
    answered, asked, late = threading.Event(), threading.Event(), threading.Event()

    def while_the_queue_moves_on() -> bool:
        asked.set()
        model.go_on.release(3)
        answered.wait(1.0)  # until the one that is looked at next has been answered
        return False

    def is_cancelled() -> bool:
        if answered.is_set():
            late.set()
        return False

    second.is_cancelled, third.is_cancelled = while_the_queue_moves_on, is_cancelled
    with waiting._changed:  # both are there when the queue looks
        waiting.put([second, third])
    assert asked.wait(60)
    assert first.sender.sent() == "the answer to first"
    assert third.sender.sent() == "the answer to third"
    answered.set()
    time.sleep(0.1)
    assert not late.is_set()


@pytest.mark.parametrize("workers", [2])  # as on a GPU
class TestSeveralWorkers:
    def test_as_many_requests_are_begun_as_there_are_workers(
        self, waiting: RequestQueue, model: Model, triton: Any
    ) -> None:
        model.go_on_with["b"] = threading.Semaphore(0)
        requests = [triton.Request({}, name) for name in "abcdef"]
        waiting.put(requests)
        assert {model.begun.get(timeout=60), model.begun.get(timeout=60)} == {"a", "b"}
        assert str(requests[-1].sender.sent(0)).startswith(QUEUE_IS_FULL)  # behind c, d and e
        assert _counts(triton) == (3, 2)
        model.go_on_with["b"].release()
        assert requests[1].sender.sent() == "the answer to b"
        assert model.begun.get(timeout=60) == "c"

    def test_frames_of_a_video_are_begun_one_after_the_other(
        self, waiting: RequestQueue, model: Model, triton: Any
    ) -> None:
        model.go_on_with["frame 1"] = threading.Semaphore(0)
        waiting.put([triton.Request(FRAME, name) for name in ("frame 1", "frame 2")])
        assert model.begun.get(timeout=60) == "frame 1"
        waiting.put([triton.Request({}, "photo")])
        assert model.begun.get(timeout=60) == "photo"  # it overtakes the frame that may not begin
        model.go_on_with["frame 1"].release()
        assert model.begun.get(timeout=60) == "frame 2"
