"""What becomes of a service whose processes die or hang, one after the other."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest

from photoreal.client import ClientError, RequestTimeout

pytestmark = pytest.mark.server

MODELS = ("stylize", "wct2", "segmenter")
SEEN_S = 10.0


class Request:
    """A request on its way, in a thread."""

    def __init__(self, service: Any, size: int) -> None:
        self.picture: np.ndarray[Any, Any] | None = None
        self.error: ClientError | None = None
        self._service, self._size = service, size
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.picture = self._service.picture(self._size)
        except ClientError as error:
            self.error = error

    def outcome(self) -> str:
        """How it ended, in a word or its sentence."""
        self._thread.join(90)
        assert not self._thread.is_alive(), "the request hangs"
        assert not isinstance(self.error, RequestTimeout), self.error
        return "a picture" if self.picture is not None else str(self.error)


@pytest.fixture(scope="module")
def expected(service: Any) -> np.ndarray[Any, Any]:
    """The picture of the undisturbed server."""
    picture = service.picture()
    assert np.array_equal(picture, service.picture())
    return np.asarray(picture)


@pytest.fixture
def recovers(
    service: Any,
    expected: np.ndarray[Any, Any],
    wait: Callable[..., float],
    shown: Callable[[str], None],
) -> Iterator[Callable[..., None]]:
    """Asserts that a fault is seen and put right, and prints how long both took."""

    def check(what: str, request: Request | None = None) -> None:
        seen = wait(f"{what}: /ready says so", lambda: not service.is_ready(), SEEN_S)
        _, problem = service.ready()
        back = seen + wait(f"{what}: ready again", service.is_ready)
        line = f"{what}: seen after {seen:.1f} s, answers again after {back:.1f} s"
        if request is not None:
            line += f"; the request got: {request.outcome()}"
        shown(line)
        # Of the supervisor, or of the real request that it had on its way.
        told = (" failed (", "is not running and is being restarted")
        assert problem is None or any(words in problem for words in told)
        assert np.array_equal(service.picture(), expected)

    wait("the server is ready", service.is_ready)
    yield check
    assert service.process.poll() is None


def _at_work(process: psutil.Process, wait: Callable[..., float], cpu_s: float = 0.1) -> None:
    """Wait until a process has begun to compute."""
    before = sum(process.cpu_times()[:2])
    wait("the model computes", lambda: sum(process.cpu_times()[:2]) - before >= cpu_s)


@pytest.mark.parametrize("model", MODELS)
def test_model_killed_while_idle(service: Any, recovers: Callable[..., None], model: str) -> None:
    labels = {"model": model, "reason": "died"}
    before = service.metric("photoreal_model_restarts_total", **labels)
    servers = service.metric("photoreal_server_restarts_total", reason="died")
    service.model(model).kill()
    recovers(f"{model} killed while idle")
    assert service.metric("photoreal_model_restarts_total", **labels) == before + 1
    assert service.metric("photoreal_server_restarts_total", reason="died") == servers
    assert f"{model} failed (died): Process" in service.log


@pytest.mark.parametrize("model", MODELS)
def test_model_killed_during_a_request(
    service: Any, recovers: Callable[..., None], wait: Callable[..., float], model: str
) -> None:
    servers = service.metric("photoreal_server_restarts_total", reason="died")
    victim, worker = service.model(model), service.model("wct2")
    request = Request(service, 256)
    if model == "segmenter":
        _at_work(victim, wait, 0.02)
    else:
        _at_work(worker, wait)
    victim.kill()
    recovers(f"{model} killed during a request", request)
    if request.error is not None:
        words = str(request.error)
        assert "Traceback" not in words
        assert ".py" not in words
        # Callers of stylize learn of its end by that of their connections.
        assert model in words or (model == "stylize" and "No server is ready" in words)
    if model == "stylize":
        assert service.metric("photoreal_server_restarts_total", reason="died") == servers + 1


def test_model_stopped_while_idle(service: Any, recovers: Callable[..., None]) -> None:
    service.model("wct2").suspend()
    recovers("wct2 stopped while idle")
    assert service.metric("photoreal_model_restarts_total", model="wct2", reason="stopped") == 1


def test_model_stopped_during_a_request(
    service: Any, recovers: Callable[..., None], wait: Callable[..., float]
) -> None:
    worker = service.model("wct2")
    request = Request(service, 256)
    _at_work(worker, wait)
    worker.suspend()
    recovers("wct2 stopped during a request", request)


def test_server_killed(service: Any, recovers: Callable[..., None]) -> None:
    before = service.server()
    restarts = service.metric("photoreal_server_restarts_total", reason="died")
    os.kill(before, signal.SIGKILL)
    recovers("tritonserver killed")
    assert service.server() != before
    assert service.metric("photoreal_server_restarts_total", reason="died") == restarts + 1


@pytest.mark.long
def test_server_stopped(service: Any, recovers: Callable[..., None]) -> None:
    before = service.server()
    os.kill(before, signal.SIGSTOP)
    recovers("tritonserver stopped")
    assert service.server() != before


@pytest.mark.long
def test_busy_server_is_left_alone(service: Any, wait: Callable[..., float]) -> None:
    """Requests that take longer than any of the watch's times are work, not a fault."""
    restarts = service.log.count(" failed (")
    requests = [Request(service, 384) for _ in range(5)]
    start = time.monotonic()
    statuses = set()
    while any(request.picture is None and request.error is None for request in requests):
        statuses.add(service.ready()[0])
        time.sleep(0.1)
    assert time.monotonic() - start > 5
    assert {request.outcome() for request in requests} == {"a picture"}
    assert statuses == {200}
    assert service.log.count(" failed (") == restarts


def test_end_after_many_faults_is_quick(service: Any, shown: Callable[[str], None]) -> None:
    """The last test of this server: instances that died with requests do not hold up its end."""
    service.model("wct2").kill()
    Request(service, 64).outcome()
    family = service.family()
    start = time.monotonic()
    service.process.terminate()
    assert service.process.wait(60) == 0
    seconds = time.monotonic() - start
    shown(f"SIGTERM after the faults: everything has ended after {seconds:.1f} s")
    assert seconds < 15
    assert not [one for one in family if one.is_running() and one.status() != "zombie"]
    assert service.log.endswith("Stopped.\n")
