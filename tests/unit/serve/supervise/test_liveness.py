"""Telling a server that works from one that is busy and one that has failed."""

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

    outcome: CanaryResult | None = None

    def poll(self) -> CanaryResult | None:
        return self.outcome


class World:
    """A server as a watch sees it, and a clock."""

    def __init__(self) -> None:
        self.now, self.cpu_s = 100.0, 7.0
        self.completed: float | None = 3.0
        self.states: dict[str, State] = {}
        self.sent: list[Canary] = []
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

    def complete_one(self) -> None:
        assert self.completed is not None
        self.completed += 1


@pytest.fixture
def world():
    """A server that has just become ready and answered its first canary."""
    world = World()
    assert world.look() is None
    assert len(world.sent) == 1  # the first is sent at once
    before = world.watch.confirmed
    world.answer()
    assert world.look() is None
    assert (before, world.watch.confirmed) == (False, True)
    return world


def test_canary_comes_an_interval_after_the_last_answer(world):
    for seconds, sent in ((4.5, 1), (1.0, 2)):
        assert world.run(seconds) is None
        assert len(world.sent) == sent


def test_served_requests_take_the_canary_s_place(world):
    for _ in range(10):
        world.run(3.0)
        world.complete_one()
        world.look()
    assert len(world.sent) == 1


def test_dead_process_is_seen_at_once_and_a_stopped_one_is_given_a_moment(world):
    world.states["stylize"] = "stopped"
    assert world.run(2.0) is None
    world.states["stylize"] = "alive"
    assert world.run(0.5) is None
    world.states["stylize"] = "stopped"
    stopped = world.run(10.0)
    world.states = {"wct2": "dead"}
    died = world.run(0.5)
    assert [(one.model, one.reason) for one in (stopped, died)] == [
        ("stylize", "stopped"),
        ("wct2", "died"),
    ]
    assert "process 10 has been stopped for 2 s" in stopped.sentence.lower()
    assert "process 11 has died" in died.sentence.lower()


@pytest.mark.parametrize("work", [0.0, 0.001])  # the latter is what an idle server uses
def test_no_answer_and_no_work_is_a_hang(world, work):
    start = world.now
    fault = world.run(60.0, work)
    assert fault is not None
    assert (fault.model, fault.reason) == (None, "hung")
    assert world.now - start <= 10


def test_no_answer_while_it_works_is_a_long_request(world):
    assert world.run(600.0, work=1.9) is None
    assert len(world.sent) == 2  # the one that waits in the queue is enough
    assert world.watch.problem is None
    assert world.run(60.0).reason == "hung"


@pytest.mark.parametrize(("work", "state"), [(0.03, "alive"), (0.0, "disk")])
def test_a_starved_server_or_one_that_waits_for_a_disk_works(world, work, state):
    world.states["wct2"] = state
    assert world.run(60.0, work) is None


def test_work_without_any_answer_ends_at_last(world):
    assert "900 s" in world.run(2000.0, work=1.9).sentence


def test_others_that_are_answered_show_that_the_canary_only_queues(world):
    world.run(6.0, work=1.9)
    for _ in range(200):
        assert world.run(10.0, work=1.9) is None
        world.complete_one()


@pytest.mark.parametrize("second", ["It failed again.", None])
def test_one_failure_is_a_problem_and_two_are_a_fault(world, second):
    world.run(5.5)
    world.answer("It failed.")
    assert world.run(0.5) is None
    assert world.watch.problem == "It failed."
    assert world.run(1.0) is None
    world.answer(second)
    fault = world.run(0.5)
    if second is None:  # an answer forgives a failure
        assert (fault, world.watch.problem) == (None, None)
    else:
        assert (fault.model, fault.reason) == (None, "failing")
        assert second in fault.sentence


def test_full_queue_is_not_a_failure_and_does_not_hide_a_hang(world):
    world.run(5.5)
    for _ in range(20):
        world.answer("Exceeds maximum queue size.", busy=True)
        assert world.run(1.5, work=1.9) is None
    assert world.watch.problem is None
    assert len(world.sent) > 10
    faults = []
    for _ in range(4):
        world.answer("Exceeds maximum queue size.", busy=True)
        faults.append(world.run(1.5))
    assert "hung" in [fault.reason for fault in faults if fault]


def test_server_without_metrics_is_watched_by_canaries_alone(world):
    world.completed = None
    for _ in range(5):
        assert world.run(5.5) is None
        world.answer()
    assert len(world.sent) == 6


@pytest.mark.parametrize(
    ("count", "times", "delays"),
    [
        (7, range(7), [0, 1, 2, 4, 8, 10, 10]),
        (2, (0, 200, 301, 502, 1000), [0, 1, 1, 1, 0]),  # old restarts are forgotten
    ],
)
def test_restarts_wait_twice_as_long_every_time(count, times, delays):
    budget = RestartBudget(RestartLimits(count=count, window_s=300, longest_delay_s=10))
    assert [budget.spend(float(now), "") for now in times] == delays


@pytest.mark.parametrize("count", [0, 2])
def test_restarts_end_at_the_limit_with_the_reason(count):
    budget = RestartBudget(RestartLimits(count=count, window_s=300))
    for now in range(count):
        budget.spend(float(now), "")
    with pytest.raises(ServeError, match=rf"limit of {count} restarts.* wct2 died\."):
        budget.spend(float(count), "wct2 died.")
