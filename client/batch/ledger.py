"""Record of a batch run, kept outside the workers so that it outlives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

TRIES = 3
"""Workers that may end on a photo, or while they load, before a new one would end as well."""

Kind = Literal["done", "failed", "refused", "stopped"]
"""What became of a photo; "refused" (a wrong call) and "stopped" (no disk) concern every photo."""


@dataclass(frozen=True)
class Outcome:
    """What became of a photo: the reason if there is no picture, and the seconds it took."""

    name: str
    kind: Kind
    reason: str = ""
    seconds: float = 0.0


class Record(Protocol):
    """What a worker asks and reports when it starts, before a photo and after it."""

    def start(self) -> bool:
        """Count a worker that loads the models; False if too many have ended before `ready`."""

    def ready(self) -> None:
        """Note that the models are loaded."""

    def begin(self, name: str) -> Outcome | None:
        """Count a try; return the outcome if the photo has one, or has ended several workers."""

    def finish(self, outcome: Outcome) -> None:
        """Keep the outcome, for a worker that gets the photo again."""


class Ledger:
    """The record itself, for a number of workers at a time."""

    def __init__(self, workers: int = 1) -> None:
        self._starts, self._most_starts = 0, TRIES * workers
        self._tries: dict[str, int] = {}
        self._outcomes: dict[str, Outcome] = {}

    def start(self) -> bool:
        """Count a start; see `Record`."""
        self._starts += 1
        return self._starts <= self._most_starts

    def ready(self) -> None:
        """Forget the starts; see `Record`."""
        self._starts = 0

    def begin(self, name: str) -> Outcome | None:
        """Count a try; see `Record`."""
        if name in self._outcomes:
            return self._outcomes[name]
        self._tries[name] = self._tries.get(name, 0) + 1
        if self._tries[name] > TRIES:
            reason = f"{TRIES} workers ended while they worked on it; it may need more memory."
            return Outcome(name, "failed", reason)
        return None

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome; see `Record`."""
        self._tries.pop(outcome.name, None)
        self._outcomes[outcome.name] = outcome


class RemoteLedger:
    """A ledger in a Ray actor."""

    def __init__(self, workers: int) -> None:
        import ray

        # A ledger that is lost with its node begins again: pictures that exist are left alone.
        actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Ledger)
        self._actor: Any = actor.remote(workers)

    def start(self) -> bool:
        """Count a start; see `Record`."""
        import ray

        return bool(ray.get(self._actor.start.remote()))

    def ready(self) -> None:
        """Forget the starts; see `Record`."""
        import ray

        ray.get(self._actor.ready.remote())

    def begin(self, name: str) -> Outcome | None:
        """Count a try; see `Record`."""
        import ray

        outcome: Outcome | None = ray.get(self._actor.begin.remote(name))
        return outcome

    def finish(self, outcome: Outcome) -> None:
        """Keep an outcome; see `Record`."""
        import ray

        ray.get(self._actor.finish.remote(outcome))
