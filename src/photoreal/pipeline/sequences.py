"""Per-shot state of videos, kept on the server between frames.

A client chooses an id for the shot that a frame belongs to, and uses a new id after a cut. The
state is only a cache: a shot that was evicted, or lost in a server restart, starts over with its
next frame.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from photoreal.color.align import Steady
from photoreal.pipeline.request import FloatImage, Shot
from photoreal.regions.coupling import Matrix
from photoreal.regions.soft import RegionPlan

MAX_SEQUENCES = 16
MAX_BYTES = 256 << 20
MAX_AGE_S = 300.0


class Memory(Protocol):
    """An object that reports its memory use."""

    @property
    def bytes(self) -> int:
        """Size in bytes."""


M = TypeVar("M", bound=Memory)


@dataclass(frozen=True)
class _Entry(Generic[M]):
    memory: M
    shot_key: Hashable
    used_at: float


class SequenceStore(Generic[M]):
    """LRU store of per-shot memories by shot id, limited in count, total bytes and age.

    `make` creates the memory of a new shot; `clock` returns a time in seconds.
    """

    def __init__(
        self,
        make: Callable[[], M],
        *,
        count: int = MAX_SEQUENCES,
        limit: int = MAX_BYTES,
        age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._count = count
        self._limit = limit
        self._age_s = age_s
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry[M]] = OrderedDict()

    def get(self, sequence: bytes, shot_key: Hashable) -> M:
        """Return the memory of a shot, or a new one if the shot is unknown or `shot_key` differs.

        `shot_key` is what a frame must have in common with the previous frame. Call `keep`
        when the frame is done.
        """
        now = self._clock()
        for name, entry in list(self._entries.items()):
            if now - entry.used_at > self._age_s:
                del self._entries[name]
        known = self._entries.get(sequence)
        return known.memory if known is not None and known.shot_key == shot_key else self._make()

    def keep(self, sequence: bytes, shot_key: Hashable, memory: M) -> None:
        """Store the memory of a shot; evict the least recently used shots if there is no room."""
        self._entries[sequence] = _Entry(memory, shot_key, self._clock())
        self._entries.move_to_end(sequence)
        while self._entries and (len(self._entries) > self._count or self.bytes > self._limit):
            self._entries.popitem(last=False)

    def forget(self, sequence: bytes) -> None:
        """Drop a shot; its next frame starts a new one."""
        self._entries.pop(sequence, None)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Total size of the stored memories in bytes."""
        return sum(entry.memory.bytes for entry in self._entries.values())


class ShotMemory:
    """State shared by the frames of a shot: region plan, couplings and region colors."""

    def __init__(self) -> None:
        self.probabilities: FloatImage | None = None
        self.plan: RegionPlan | None = None
        self.couplings: list[Matrix] | None = None
        self._colors: dict[Hashable, tuple[Matrix, ...]] = {}
        self.shot_key: Hashable = None

    @property
    def bytes(self) -> int:
        """Size of the large arrays in bytes."""
        return 0 if self.probabilities is None else self.probabilities.nbytes

    def steadied(self, share: float, labels: Sequence[int]) -> Steady:
        """Return a function that averages regions' colors with those of previous frames.

        Regions are known by their `labels`, which stay the same from frame to frame.
        """

        def average(region: int, name: str, found: tuple[Matrix, ...]) -> tuple[Matrix, ...]:
            key = (labels[region], name)
            before = self._colors.get(key)
            if before is not None:
                found = tuple(
                    share * old + (1.0 - share) * new
                    for old, new in zip(before, found, strict=True)
                )
            self._colors[key] = found
            return found

        return average


class SteadyRegions:
    """Temporal smoothing of regions and colors, to prevent flicker between frames.

    Borders still follow the edges of the current frame.
    """

    def __init__(self) -> None:
        self._shots = SequenceStore(ShotMemory)

    def memory(self, shot: Shot, shot_key: Sequence[Hashable]) -> ShotMemory:
        """Return the memory of a shot; pass it to `remember` when the frame is done."""
        key = tuple(shot_key)
        memory = self._shots.get(shot.sequence, key)
        memory.shot_key = key
        return memory

    def remember(self, shot: Shot, memory: ShotMemory) -> None:
        """Store the memory of a shot for its next frame."""
        self._shots.keep(shot.sequence, memory.shot_key, memory)

    def smooth(self, shot: Shot, found: FloatImage) -> FloatImage:
        """Smooth the probabilities (groups, h, w) of a frame over the shot."""
        memory = self.memory(shot, [found.shape])
        if memory.probabilities is not None:
            found = shot.steady * memory.probabilities + (1.0 - shot.steady) * found
        memory.probabilities = found
        self.remember(shot, memory)
        return found
