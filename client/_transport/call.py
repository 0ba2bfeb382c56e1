"""What one call of a client is made of, whichever way it goes."""

from __future__ import annotations

import math
import numbers
import uuid
from typing import Any, NamedTuple

from photoreal.client.errors import InvalidInput

DEFAULT_TIMEOUT = 300.0
"""Seconds that one call may take: a large photo takes minutes on a CPU."""
READY_TIMEOUT = 5.0
"""Seconds that asking a server whether it is ready may take."""


class Call(NamedTuple):
    """One call: the seconds that it may take, and the id under which the server logs it."""

    seconds: float
    request_id: str


def begin_call(closed: bool, timeout: float | None, usual: float, request_id: str | None) -> Call:
    """Check what a call was given; `timeout` None is the `usual` one, a missing id is made up.

    Raises:
        InvalidInput: the client is closed, or the timeout or the id makes no sense.
    """
    check_open(closed)
    seconds = usual if timeout is None else check_seconds(timeout)
    return Call(seconds, _request_id(request_id))


def check_open(closed: bool) -> None:
    """Raise InvalidInput for a client that is closed."""
    if closed:
        raise InvalidInput("This client is closed; make a new one.")


def check_seconds(timeout: Any) -> float:
    """A timeout as a number; raises InvalidInput for anything but seconds above 0."""
    number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    if not number or not math.isfinite(timeout) or timeout <= 0:
        raise InvalidInput(f"timeout is {timeout!r}; expected seconds above 0.")
    return float(timeout)


def _request_id(given: str | None) -> str:
    if given is None:
        return uuid.uuid4().hex
    if not isinstance(given, str):
        raise InvalidInput(f"request_id is {given!r}; expected a str.")
    return given
