"""Error codes: how an error keeps its class on the way from one model to another.

Triton 24.10 passes only the message of an error to the model that called (BLS), not its code. So
the called model puts a code before the message, `[photoreal:queue_full] The queue ...`, if the
request asks for it with the parameter `ERROR_CODES_PARAMETER`, as calls between models do. Clients
do not ask and see the plain message.

A code counts only at the very beginning, which the model that answers writes itself: text that a
client sent, such as an option's value quoted in the message, cannot forge one.
"""

from __future__ import annotations

import re

from photoreal.errors import (
    Canceled,
    DeadlineExceeded,
    InvalidImage,
    InvalidMask,
    InvalidOption,
    InvalidRequest,
    ModelFailed,
    ModelUnavailable,
    NumericalError,
    PhotorealError,
    QueueFull,
)

ERROR_CODES_PARAMETER = "error_codes"
"""Request parameter: errors in the response begin with a code."""

CODES: dict[str, type[PhotorealError]] = {
    "invalid_request": InvalidRequest,
    "invalid_image": InvalidImage,
    "invalid_mask": InvalidMask,
    "invalid_option": InvalidOption,
    "deadline_exceeded": DeadlineExceeded,
    "canceled": Canceled,
    "queue_full": QueueFull,
    "numerical_error": NumericalError,
    "model_unavailable": ModelUnavailable,
    "model_failed": ModelFailed,
}
"""Codes and their exception classes; an error of another class is sent as `model_failed`."""

_CODED = re.compile(r"\[photoreal:(\w+)\] (.*)", re.DOTALL)


def encode(error: PhotorealError) -> str:
    """Return the message of an error, preceded by the code of its class."""
    codes = {kind: code for code, kind in CODES.items()}
    code = codes.get(type(error), "model_failed")
    return f"[photoreal:{code}] {error.args[0]}"


def decode(message: str) -> PhotorealError | None:
    """Return the error that `encode` wrote; None for a message that begins with no known code."""
    found = _CODED.match(message)
    if found is None or found[1] not in CODES:
        return None
    return CODES[found[1]](found[2])
