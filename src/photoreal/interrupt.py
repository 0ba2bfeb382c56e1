"""Signals that end a command in good order, as Ctrl-C does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDING = ("SIGTERM", "SIGHUP")  # a shutdown, a terminal that is closed; not on every system


def interrupt_on_signals() -> None:
    """Let SIGTERM raise KeyboardInterrupt as Ctrl-C does, in the main thread and only once.

    Further signals are ignored: they must not disturb the end.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, in the main thread, within the context.

    One of them is enough: what follows the interruption is not disturbed by another.
    """
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]

    def interrupt(number: int, frame: FrameType | None) -> None:
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt
