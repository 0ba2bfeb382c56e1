"""Graceful termination of a command by signals, as by Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ENDING = ("SIGTERM", "SIGHUP")  # shutdown, closed terminal; not on every system


def interrupt_on_signals() -> None:
    """Make SIGTERM raise KeyboardInterrupt as Ctrl-C does, in the main thread and only once.

    Further signals are ignored, so that they do not disturb the cleanup.
    """
    for number in _SIGNALS:
        signal.signal(number, _interrupt)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread, within the context.

    Only the first signal has an effect, so that another one does not disturb the cleanup.
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
