"""Environment variables that a model's process reads."""

from __future__ import annotations

import os

from photoreal.contract import DEFAULT_STYLE_CACHE_BYTES, STYLE_CACHE_VARIABLE
from photoreal.errors import ServeError


def whole_number(variable: str, default: int, unit: str) -> int:
    """A whole number from the environment, 0 or more; raises ServeError for anything else.

    `unit` says what it counts, for the error.
    """
    text = os.environ.get(variable, str(default))
    if not (text.isascii() and text.isdigit()):
        raise ServeError(f"{variable} is {text!r}; expected a number of {unit}, or 0.")
    return int(text)


def cache_limit() -> int:
    """Bytes that the environment allows the cache; raises ServeError when it names no number."""
    return whole_number(STYLE_CACHE_VARIABLE, DEFAULT_STYLE_CACHE_BYTES, "bytes")
