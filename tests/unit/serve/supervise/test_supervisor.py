"""What the supervisor does about a fault: load a model anew, restart the server, give up."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from photoreal.errors import ServeError
from photoreal.serve.launch.canaries import CanaryResult
from photoreal.serve.launch.security import Security
from photoreal.serve.supervise import supervisor
from photoreal.serve.supervise.health import Status
from photoreal.serve.supervise.management import TIMED_OUT
from photoreal.serve.supervise.processes import ModelProcess, ProcessTable, State
from photoreal.serve.supervise.restarts import RestartLimits
from photoreal.serve.supervise.supervisor import Supervisor, SupervisorSettings

PIDS = {"stylize": 10, "wct2": 11, "segmenter": 12}


class EndOfTestError(Exception):
    """The world has nothing more to show."""


@dataclass
class World:
    """A server with its processes and its clock. Every wait of the supervisor is one step."""

    now: float = 1000.0
    exit_code: int | None = None
    states: dict[str, State] = field(default_factory=dict)
    cpu_s: float = 0.0
    canary: CanaryResult | None = field(default_factory=lambda: CanaryResult(0.1))
    failing: dict[str, str] = field(default_factory=dict)
    alive: bool = True
    reload_helps: bool = True
    owes: bool = False
    restart_error: str | None = None
    steps: list[Any] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    status: Status = field(default_factory=Status)

    # The server
    pid = 1
    http_url = metrics_url = "nowhere"
    settings = SimpleNamespace(admin_key="key", security=Security())

    def poll(self) -> int | None:
        return self.exit_code

    def restart(self) -> None:
        self.done.append("restart")
        if self.restart_error is not None:
            raise ServeError(self.restart_error)
        self.exit_code, self.alive, self.canary = None, True, CanaryResult(0.1)
        self.states.clear()

    # Its management
    def is_alive(self) -> bool:
        return self.alive

    def completed(self) -> float | None:
        return None

    def reload(self, model: str) -> None:
        self.done.append(f"reload {model}")
        if self.reload_helps:
            self.states.pop(model, None)

    def ask(self, models: Sequence[str], timeout_s: float) -> dict[str, str]:
        assert set(models) == set(PIDS)
        return self.failing

    # The table of its processes
    def snapshot(self) -> list[ModelProcess]:
        return [
            ModelProcess(model, pid, self.states.get(model, "alive"), self.cpu_s)
            for model, pid in PIDS.items()
        ]

    def forget(self, model: str) -> None:
        self.done.append(f"forget {model}")

    # The clock
    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if seconds >= 0.5:  # else it only waits for a process that was killed
            if not self.steps:
                raise EndOfTestError
            step = self.steps.pop(0)
            if step is not None:
                step()

    def kill(self, pid: int, number: int) -> None:
        model = next(name for name, one in PIDS.items() if one == pid)
        self.done.append(f"kill {model}")
        self.states[model] = "dead"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    management = SimpleNamespace(
        is_alive=world.is_alive,
        completed=world.completed,
        has_pending_requests=lambda: world.owes,
        reload=world.reload,
        failing=world.ask,
    )
    monkeypatch.setattr(supervisor, "Management", lambda *arguments: management)
    monkeypatch.setattr(supervisor, "ProcessTable", lambda pid: world)
    monkeypatch.setattr(
        supervisor, "Canary", lambda *arguments: SimpleNamespace(poll=lambda: world.canary)
    )
    clock = SimpleNamespace(sleep=world.sleep, monotonic=lambda: world.now)
    monkeypatch.setattr(supervisor, "time", clock)
    monkeypatch.setattr(supervisor, "os", SimpleNamespace(kill=world.kill))
    return world


def _run(
    world: World,
    *steps: Any,
    limits: RestartLimits | None = None,
    refill: Callable[[], None] | None = None,
) -> list[str]:
    """Supervise through the steps; what was done, forgetting left out."""
    world.steps = list(steps)
    settings = SupervisorSettings(restarts=limits or RestartLimits())
    with pytest.raises(EndOfTestError):
        Supervisor(world, settings, world.status, refill).run()  # type: ignore[arg-type]
    return [one for one in world.done if not one.startswith("forget")]


def _metric(world: World, line: str) -> bool:
    return f"{line}\n" in generate_latest(world.status.registry).decode()


def test_a_healthy_server_is_left_alone(world: World) -> None:
    assert _run(world, *[None] * 100) == []
    assert world.status.problem is None
    assert _metric(world, 'photoreal_canaries_total{result="failed"} 0.0')


def test_a_dead_model_is_loaded_anew(world: World) -> None:
    problems: list[str | None] = []
    steps = [
        None,
        lambda: world.states.update(wct2="dead"),
        lambda: problems.append(world.status.problem),
        None,
        None,
        lambda: problems.append(world.status.problem),
    ]
    assert _run(world, *steps) == ["reload wct2"]
    assert problems == ["wct2 failed (died): Process 11 has died.", None]
    assert _metric(world, 'photoreal_model_restarts_total{model="wct2",reason="died"} 1.0')


def test_a_stopped_model_is_killed_before(world: World) -> None:
    done = _run(world, lambda: world.states.update(stylize="stopped"), *[None] * 8)
    assert done == ["kill stylize", "reload stylize"]


@pytest.mark.parametrize("state", ["dead", "stopped"])
def test_a_dead_model_that_has_pending_requests_ends_its_callers_connections(
    world: World, state: State
) -> None:
    """Nothing else tells them: Triton does not answer for a process that is no more."""

    def fail() -> None:
        world.states.update(stylize=state)
        world.owes = True

    assert _run(world, fail, *[None] * 8) == ["restart"]


def test_what_another_model_owes_its_callers_get_from_triton(world: World) -> None:
    world.owes = True
    assert _run(world, lambda: world.states.update(wct2="dead"), *[None] * 8) == ["reload wct2"]


def test_two_models_are_loaded_one_after_the_other(world: World) -> None:
    def die() -> None:
        world.states.update(wct2="dead", segmenter="dead")

    assert _run(world, die, *[None] * 8) == ["reload wct2", "reload segmenter"]


def test_what_loading_does_not_help_is_restarted(world: World) -> None:
    world.reload_helps = False
    done = _run(world, lambda: world.states.update(wct2="dead"), *[None] * 8)
    assert done == ["reload wct2", "restart"]
    assert _metric(world, 'photoreal_server_restarts_total{reason="died"} 1.0')


def test_a_server_that_died_is_restarted(world: World) -> None:
    assert _run(world, lambda: setattr(world, "exit_code", -9), *[None] * 5) == ["restart"]
    assert world.status.problem is None


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (lambda world: world.states.update(wct2="dead"), 1),
        (lambda world: setattr(world, "exit_code", -9), 1),
        (lambda world: world.states.update(segmenter="dead"), 0),
    ],
)
def test_presets_are_measured_anew_when_their_keeper_died(
    world: World, fault: Callable[[World], None], times: int
) -> None:
    called, calls = threading.Event(), []

    def refill() -> None:
        calls.append(world.status.problem)
        called.set()

    _run(world, lambda: fault(world), *[None] * 8, refill=refill)
    assert called.wait(5.0 if times else 0.1) == bool(times)
    assert calls == [None] * times


def test_presets_that_cannot_be_measured_are_told_of(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def refill() -> None:
        raise ServeError("The server is busy.")

    _run(world, lambda: world.states.update(wct2="dead"), *[None] * 8, refill=refill)
    sentence = "The presets could not be analyzed again: The server is busy."
    deadline = time.monotonic() + 5.0
    while sentence not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sentence in caplog.text


def test_a_server_that_is_mute_is_restarted(world: World) -> None:
    def hang() -> None:
        world.canary, world.alive = None, False

    assert _run(world, hang, *[None] * 21) == ["restart"]


@pytest.mark.parametrize(
    ("failing", "culprit"),
    [
        ({"wct2": TIMED_OUT}, "wct2"),
        ({"segmenter": TIMED_OUT}, "segmenter"),
        ({}, "stylize"),
    ],
)
def test_a_hang_is_laid_to_the_model_that_does_not_answer(
    world: World, failing: dict[str, str], culprit: str
) -> None:
    def hang() -> None:
        world.canary, world.failing = None, failing

    done = _run(world, hang, *[None] * 20)
    assert done[:2] == [f"kill {culprit}", f"reload {culprit}"]


def test_a_busy_server_is_left_alone(world: World) -> None:
    def work() -> None:
        world.canary = None
        world.cpu_s += 0.2

    assert _run(world, *[work] * 500) == []
    assert world.status.problem is None


def test_failing_canaries_show_before_they_are_a_fault(world: World) -> None:
    problems = []

    def fail() -> None:
        world.canary = CanaryResult(0.1, "It failed.")
        problems.append(world.status.problem)

    done = _run(world, *[fail] * 18)
    assert "It failed." in problems
    assert done[:1] == ["kill stylize"]


def test_the_limit_ends_it_with_a_sentence(world: World) -> None:
    world.restart_error = "The server was not ready within 180 s."
    world.steps = [lambda: setattr(world, "exit_code", 1), *[None] * 50]
    settings = SupervisorSettings(restarts=RestartLimits(count=3))
    with pytest.raises(ServeError, match=r"limit of 3 restarts .* not ready within 180 s\."):
        Supervisor(world, settings, world.status).run()  # type: ignore[arg-type]
    assert world.done == ["restart"] * 3
    assert world.status.problem == "The server was not ready within 180 s."


def test_the_table_of_processes_sees_the_server_stop_and_die() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        table = ProcessTable(process.pid)
        assert [one.state for one in table.snapshot()] == ["alive"]
        os.kill(process.pid, 19)
        for _ in range(100):
            if table.snapshot()[0].state != "alive":
                break
        assert table.snapshot()[0].state == "stopped"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert table.snapshot()[0].state == "dead"
