"""What the supervisor does about a fault: reload a model, restart the server, give up."""

import os
import re
import subprocess
import threading
from collections.abc import Sequence
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
from tests.shared import wait_until

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
        pass

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

    def set(self, **changes: Any) -> Any:
        """A step that changes the world."""
        return lambda: self.__dict__.update(changes)

    def metric(self, line: str) -> bool:
        return f"{line}\n" in generate_latest(self.status.registry).decode()


@pytest.fixture
def world(monkeypatch):
    world = World()
    management = SimpleNamespace(
        is_alive=lambda: world.alive,
        completed=lambda: None,
        has_pending_requests=lambda: world.owes,
        reload=world.reload,
        failing=world.ask,
    )
    canary = SimpleNamespace(poll=lambda: world.canary)
    clock = SimpleNamespace(sleep=world.sleep, monotonic=lambda: world.now)
    monkeypatch.setattr(supervisor, "Management", lambda *arguments: management)
    monkeypatch.setattr(supervisor, "ProcessTable", lambda pid: world)
    monkeypatch.setattr(supervisor, "Canary", lambda *arguments: canary)
    monkeypatch.setattr(supervisor, "time", clock)
    monkeypatch.setattr(supervisor, "os", SimpleNamespace(kill=world.kill))
    return world


def _run(world, *steps, idle=8, refill=None):
    """Supervise through the steps and some in which nothing happens; what was done."""
    world.steps = [*steps, *[None] * idle]
    with pytest.raises(EndOfTestError):
        Supervisor(world, SupervisorSettings(), world.status, refill).run()
    return world.done


def test_a_healthy_server_is_left_alone(world):
    assert _run(world, idle=100) == []
    assert world.status.problem is None
    assert world.metric('photoreal_canaries_total{result="failed"} 0.0')


def test_a_dead_model_is_reloaded(world):
    problems: list[str | None] = []
    note = lambda: problems.append(world.status.problem)  # noqa: E731
    steps = [None, world.set(states={"wct2": "dead"}), note, None, None, note]
    assert _run(world, *steps, idle=0) == ["reload wct2"]
    assert re.match(r"wct2 failed \(died\): .*rocess 11", problems[0] or "")
    assert problems[1] is None
    assert world.metric('photoreal_model_restarts_total{model="wct2",reason="died"} 1.0')


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        ({"states": {"stylize": "stopped"}}, ["kill stylize", "reload stylize"]),
        # Only this ends its callers' calls: Triton does not answer for a process that has ended.
        ({"states": {"stylize": "dead"}, "owes": True}, ["restart"]),
        ({"states": {"stylize": "stopped"}, "owes": True}, ["restart"]),
        # What another model owes its callers get from Triton.
        ({"states": {"wct2": "dead"}, "owes": True}, ["reload wct2"]),
        (
            {"states": {"wct2": "dead", "segmenter": "dead"}},
            ["reload wct2", "reload segmenter"],
        ),
        ({"states": {"wct2": "dead"}, "reload_helps": False}, ["reload wct2", "restart"]),
        ({"exit_code": -9}, ["restart"]),
        ({"canary": None, "alive": False}, ["restart"]),
        # A hang is laid to the model that does not answer.
        ({"canary": None, "failing": {"wct2": TIMED_OUT}}, ["kill wct2", "reload wct2"]),
        ({"canary": None, "failing": {"segmenter": TIMED_OUT}}, ["kill segmenter"]),
        ({"canary": None}, ["kill stylize", "reload stylize"]),
    ],
)
def test_what_is_done_about_a_fault(world, changes, done):
    assert _run(world, world.set(**changes), idle=20)[: len(done)] == done
    if "canary" not in changes:
        assert world.done == done
        assert world.status.problem is None
    if not world.reload_helps:
        assert world.metric('photoreal_server_restarts_total{reason="died"} 1.0')


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"states": {"wct2": "dead"}}, 1),
        ({"exit_code": -9}, 1),
        ({"states": {"segmenter": "dead"}}, 0),
    ],
)
def test_presets_are_measured_again_when_their_keeper_died(world, changes, times):
    called, calls = threading.Event(), []

    def refill():
        calls.append(world.status.problem)
        called.set()

    _run(world, world.set(**changes), refill=refill)
    assert called.wait(5.0 if times else 0.1) == bool(times)
    assert calls == [None] * times


def test_presets_that_cannot_be_measured_are_logged(world, caplog):
    def refill():
        raise ServeError("The server is busy.")

    _run(world, world.set(states={"wct2": "dead"}), refill=refill)
    wait_until(lambda: "again: The server is busy." in caplog.text)


def test_a_busy_server_is_left_alone(world):
    def work():
        world.canary = None
        world.cpu_s += 0.2

    assert _run(world, *[work] * 500, idle=0) == []
    assert world.status.problem is None


def test_failing_canaries_show_before_they_are_a_fault(world):
    problems = []

    def fail():
        world.canary = CanaryResult(0.1, "It failed.")
        problems.append(world.status.problem)

    done = _run(world, *[fail] * 18, idle=0)
    assert "It failed." in problems
    assert done[:1] == ["kill stylize"]


def test_the_limit_ends_it_with_a_sentence(world):
    world.restart_error = "The server was not ready within 180 s."
    world.steps = [world.set(exit_code=1), *[None] * 50]
    settings = SupervisorSettings(restarts=RestartLimits(count=3))
    with pytest.raises(ServeError, match=r"limit of 3 restarts .* not ready within 180 s\."):
        Supervisor(world, settings, world.status).run()
    assert world.done == ["restart"] * 3
    assert world.status.problem == "The server was not ready within 180 s."


def test_the_table_of_processes_sees_the_server_stop_and_die():
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        table = ProcessTable(process.pid)
        assert [one.state for one in table.snapshot()] == ["alive"]
        os.kill(process.pid, 19)
        wait_until(lambda: table.snapshot()[0].state != "alive")
        assert table.snapshot()[0].state == "stopped"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert table.snapshot()[0].state == "dead"
