"""Environment variables that the model processes read."""

from __future__ import annotations

import os

from photoreal.contract import DEFAULT_STYLE_CACHE_BYTES, STYLE_CACHE_VARIABLE
from photoreal.errors import ServeError


def whole_number(variable: str, default: int, unit: str) -> int:
    """Read a whole number, 0 or more, from the environment; raises ServeError for other values.

    `unit` names what is counted, for the error message.
    """
    text = os.environ.get(variable, str(default))
    if not (text.isascii() and text.isdigit()):
        raise ServeError(f"{variable} is {text!r}; expected a number of {unit}, or 0.")
    return int(text)


def cache_limit() -> int:
    """Style cache limit in bytes from the environment; raises ServeError if it is no number."""
    return whole_number(STYLE_CACHE_VARIABLE, DEFAULT_STYLE_CACHE_BYTES, "bytes")
