"""Timeout and request id of a call, shared by all clients and transports."""

from __future__ import annotations

import math
import numbers
import uuid
from typing import Any, NamedTuple

from photoreal.client.errors import InvalidInput

DEFAULT_TIMEOUT = 300.0
"""Default timeout of a call in seconds: a large photo takes minutes on a CPU."""
READY_TIMEOUT = 5.0
"""Default timeout of a readiness check in seconds."""


class Call(NamedTuple):
    """One call: its timeout in seconds, and the id under which the server logs it."""

    seconds: float
    request_id: str


def begin_call(closed: bool, timeout: float | None, usual: float, request_id: str | None) -> Call:
    """Check the arguments of a call; `timeout` defaults to `usual`, a missing id is generated.

    Raises:
        InvalidInput: the client is closed, or the timeout or the id is invalid.
    """
    check_open(closed)
    seconds = usual if timeout is None else check_seconds(timeout)
    return Call(seconds, _request_id(request_id))


def check_open(closed: bool) -> None:
    """Raise InvalidInput if the client is closed."""
    if closed:
        raise InvalidInput("This client is closed; create a new one.")


def check_seconds(timeout: Any) -> float:
    """Return a timeout in seconds as a number; raises InvalidInput unless it is above 0."""
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
