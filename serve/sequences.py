"""What the server remembers of a video from one frame to the next.

A client names the shot that a frame belongs to by an id of its own making, and begins a new one
at a cut. Nothing here is needed: a shot that was let go, or went with a restart of the server,
starts anew with its next frame.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from photoreal.serve.request import FloatImage, Shot

MAX_SEQUENCES = 16
MAX_BYTES = 256 << 20
MAX_AGE_S = 300.0


class Memory(Protocol):
    """Something that takes memory."""

    @property
    def bytes(self) -> int:
        """Bytes that it takes."""


M = TypeVar("M", bound=Memory)


@dataclass(frozen=True)
class _Entry(Generic[M]):
    memory: M
    fits: Hashable
    used_at: float


class SequenceStore(Generic[M]):
    """Memories by the ids of their shots, at most so many, so large and so old.

    `make` makes the memory of a new shot; `clock` tells seconds.
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

    def get(self, sequence: bytes, fits: Hashable) -> M:
        """The memory of a shot; a new one when it is not known or belongs to other settings.

        `fits` is all that a frame must have in common with the one before it. Call `keep` when
        the frame is done.
        """
        now = self._clock()
        for name, entry in list(self._entries.items()):
            if now - entry.used_at > self._age_s:
                del self._entries[name]
        known = self._entries.get(sequence)
        return known.memory if known is not None and known.fits == fits else self._make()

    def keep(self, sequence: bytes, fits: Hashable, memory: M) -> None:
        """Remember a shot; those used longest ago go when there is no room."""
        self._entries[sequence] = _Entry(memory, fits, self._clock())
        self._entries.move_to_end(sequence)
        while self._entries and (len(self._entries) > self._count or self.bytes > self._limit):
            self._entries.popitem(last=False)

    def forget(self, sequence: bytes) -> None:
        """Let go of a shot; its next frame is the first of a new one."""
        self._entries.pop(sequence, None)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(entry.memory.bytes for entry in self._entries.values())


class _Probabilities:
    """The smoothed probabilities of a shot's last frame."""

    def __init__(self) -> None:
        self.values: FloatImage | None = None

    @property
    def bytes(self) -> int:
        return 0 if self.values is None else self.values.nbytes


class SteadyRegions:
    """Steadies what the segmenter sees, so that regions do not flicker from frame to frame.

    The probabilities are averaged before borders are drawn: a border still follows the edges
    of its own frame.
    """

    def __init__(self) -> None:
        self._shots = SequenceStore(_Probabilities)

    def smooth(self, shot: Shot, found: FloatImage) -> FloatImage:
        """The probabilities (groups, h, w) to use for a frame."""
        memory = self._shots.get(shot.sequence, found.shape)
        if memory.values is not None:
            found = shot.steady * memory.values + (1.0 - shot.steady) * found
        memory.values = found
        self._shots.keep(shot.sequence, found.shape, memory)
        return found
