"""Engine wrapper that can stop between the levels of the networks, and counts them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from photoreal.networks.vgg import Encoded, Skips
from photoreal.transfer.progressive import Engine


class StoppableEngine:
    """Calls `before` ahead of every level; an exception from it stops the transfer."""

    def __init__(self, engine: Engine, before: Callable[[], None]) -> None:
        self._engine, self._before = engine, before
        self.depth = engine.depth

    def encode(self, level: int, x: Tensor) -> Encoded:
        """Run encoder level 1..4."""
        self._before()
        return self._engine.encode(level, x)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        """Run decoder level 4..1."""
        self._before()
        return self._engine.decode(level, x, skips)
