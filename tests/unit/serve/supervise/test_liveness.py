"""Telling a server that works from one that is busy and one that has failed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from photoreal.errors import ServeError
from photoreal.serve.launch.canaries import CanaryResult
from photoreal.serve.supervise.liveness import Fault, LivenessMonitor, LivenessSettings
from photoreal.serve.supervise.processes import ModelProcess, State
from photoreal.serve.supervise.restarts import RestartBudget, RestartLimits

SETTINGS = LivenessSettings(
    canary_interval_s=5, hang_timeout_s=4, stopped_s=2, longest_request_s=900
)


class Canary:
    """A canary that ends when a test says so."""

    def __init__(self) -> None:
        self.outcome: CanaryResult | None = None

    def poll(self) -> CanaryResult | None:
        return self.outcome


@dataclass
class World:
    """A server as a watch sees it, and a clock."""

    now: float = 100.0
    cpu_s: float = 7.0
    completed: float | None = 3.0
    states: dict[str, State] = field(default_factory=dict)
    sent: list[Canary] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = LivenessMonitor(SETTINGS, self._send, self.now)

    def _send(self) -> Canary:
        self.sent.append(Canary())
        return self.sent[-1]

    def look(self) -> Fault | None:
        table = [
            ModelProcess(model, pid, self.states.get(model, "alive"), self.cpu_s / 2)
            for pid, model in enumerate(("stylize", "wct2"), start=10)
        ]
        return self.watch.check(self.now, table, self.completed)

    def run(self, seconds: float, work: float = 0.0) -> Fault | None:
        """Look twice a second, with so much processor time used a second, up to a fault."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            self.cpu_s += work / 2
            fault = self.look()
            if fault is not None:
                return fault
        return None

    def answer(self, failure: str | None = None, *, busy: bool = False) -> None:
        self.sent[-1].outcome = CanaryResult(0.2, failure, busy)


@pytest.fixture
def world() -> World:
    """A server that has just become ready and answered its first canary."""
    world = World()
    assert world.look() is None
    world.answer()
    assert world.look() is None
    assert world.watch.confirmed
    return world


def test_first_canary_is_sent_at_once() -> None:
    world = World()
    assert not world.watch.confirmed
    world.look()
    assert len(world.sent) == 1
    assert not world.watch.confirmed


def test_canary_comes_an_interval_after_the_last_answer(world: World) -> None:
    assert world.run(4.5) is None
    assert len(world.sent) == 1
    assert world.run(1.0) is None
    assert len(world.sent) == 2


def test_served_requests_take_the_canary_s_place(world: World) -> None:
    for _ in range(10):
        world.run(3.0)
        assert world.completed is not None
        world.completed += 1
        world.look()
    assert len(world.sent) == 1


def test_dead_process_is_seen_at_once(world: World) -> None:
    world.states["wct2"] = "dead"
    fault = world.run(0.5)
    assert fault == Fault("wct2", "died", "Process 11 has died.")


def test_stopped_process_is_given_a_moment(world: World) -> None:
    world.states["stylize"] = "stopped"
    assert world.run(2.0) is None
    world.states["stylize"] = "alive"
    assert world.run(0.5) is None
    world.states["stylize"] = "stopped"
    fault = world.run(10.0)
    assert fault == Fault("stylize", "stopped", "Process 10 has been stopped for 2 s.")


def test_no_answer_and_no_work_is_a_hang(world: World) -> None:
    start = world.now
    fault = world.run(60.0)
    assert fault is not None
    assert (fault.model, fault.reason) == (None, "hung")
    assert world.now - start <= 10


def test_no_answer_while_it_works_is_a_long_request(world: World) -> None:
    assert world.run(600.0, work=1.9) is None
    assert len(world.sent) == 2  # the one that waits in the queue is enough
    assert world.watch.problem is None
    fault = world.run(60.0)
    assert fault is not None
    assert fault.reason == "hung"


def test_a_starved_server_works_as_long_as_it_gets_a_little(world: World) -> None:
    assert world.run(60.0, work=0.03) is None


def test_what_an_idle_server_uses_is_no_work(world: World) -> None:
    fault = world.run(60.0, work=0.001)
    assert fault is not None
    assert fault.reason == "hung"


def test_waiting_for_a_disk_is_no_hang(world: World) -> None:
    world.states["wct2"] = "disk"
    assert world.run(60.0) is None


def test_work_without_any_answer_ends_at_last(world: World) -> None:
    fault = world.run(2000.0, work=1.9)
    assert fault is not None
    assert "have not answered for 900 s" in fault.sentence


def test_others_that_are_answered_show_that_the_canary_only_queues(world: World) -> None:
    world.run(6.0, work=1.9)
    for _ in range(200):
        assert world.run(10.0, work=1.9) is None
        assert world.completed is not None
        world.completed += 1


def test_one_failure_is_a_problem_and_two_are_a_fault(world: World) -> None:
    world.run(5.5)
    world.answer("It failed.")
    assert world.run(0.5) is None
    assert world.watch.problem == "It failed."
    assert world.run(1.0) is None
    world.answer("It failed again.")
    fault = world.run(0.5)
    assert fault is not None
    assert (fault.model, fault.reason) == (None, "failing")
    assert "It failed again." in fault.sentence


def test_an_answer_forgives_a_failure(world: World) -> None:
    world.run(5.5)
    world.answer("It failed.")
    world.run(1.5)
    world.answer()
    assert world.run(0.5) is None
    assert world.watch.problem is None


def test_full_queue_is_no_failure(world: World) -> None:
    world.run(5.5)
    for _ in range(20):
        world.answer("Exceeds maximum queue size.", busy=True)
        assert world.run(1.5, work=1.9) is None
    assert world.watch.problem is None
    assert len(world.sent) > 10


def test_full_queue_does_not_hide_a_hang(world: World) -> None:
    world.run(5.5)
    for _ in range(4):
        world.answer("Exceeds maximum queue size.", busy=True)
        if (fault := world.run(1.5)) is not None:
            break
    assert fault is not None
    assert fault.reason == "hung"


def test_server_that_tells_no_numbers_is_watched_by_canaries_alone(world: World) -> None:
    world.completed = None
    for _ in range(5):
        assert world.run(5.5) is None
        world.answer()
    assert len(world.sent) == 6


# --- restarts ------------------------------------------------------------------------------


def test_restarts_wait_twice_as_long_every_time() -> None:
    budget = RestartBudget(RestartLimits(count=7, window_s=300, longest_delay_s=10))
    assert [budget.spend(float(i), "") for i in range(7)] == [0, 1, 2, 4, 8, 10, 10]


def test_restarts_end_at_the_limit_with_the_reason() -> None:
    budget = RestartBudget(RestartLimits(count=2, window_s=300))
    budget.spend(0.0, "")
    budget.spend(1.0, "")
    with pytest.raises(ServeError, match=r"limit of 2 restarts within 300 s .* wct2 died\."):
        budget.spend(2.0, "wct2 died.")


def test_old_restarts_are_forgotten() -> None:
    budget = RestartBudget(RestartLimits(count=2, window_s=300))
    assert [budget.spend(now, "") for now in (0.0, 200.0, 301.0, 502.0)] == [0, 1, 1, 1]
    assert budget.spend(1000.0, "") == 0


def test_no_restart_may_be_allowed_at_all() -> None:
    with pytest.raises(ServeError, match="limit of 0 restarts"):
        RestartBudget(RestartLimits(count=0)).spend(0.0, "It died.")
