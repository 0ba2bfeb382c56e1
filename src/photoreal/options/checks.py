"""Validation of options: one check per kind of value, and options that depend on the styles.

A check takes the option's name and a value, and raises InvalidOption with a message for the
caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from photoreal.errors import InvalidOption

Check = Callable[[str, Any], None]

MAX_STYLES = 4
"""Maximum number of styles in one request."""


def number_between(low: float, high: float) -> Check:
    """Check for a finite number from `low` to `high`."""

    def check(name: str, value: float) -> None:
        if not (math.isfinite(value) and low <= value <= high):
            raise InvalidOption(f"{name} is {value:g}; expected a number from {low:g} to {high:g}.")

    return check


def whole_between(low: int, high: int, unit: str = "") -> Check:
    """Check for an integer from `low` to `high`, in `unit`."""

    def check(name: str, value: int) -> None:
        if not low <= value <= high:
            expected = f"{low} to {high} {unit}".rstrip()
            raise InvalidOption(f"{name} is {value}; expected {expected}.")

    return check


def one_of(choices: Sequence[str]) -> Check:
    """Check for one of the choices."""

    def check(name: str, value: str) -> None:
        if value not in choices:
            raise InvalidOption(f"{name} is {quote(value)}; expected {either(choices)}.")

    return check


def one_whole_of(choices: Sequence[int]) -> Check:
    """Check for one of several integers."""

    def check(name: str, value: int) -> None:
        if value not in choices:
            raise InvalidOption(
                f"{name} is {value}; expected {either([str(one) for one in choices])}."
            )

    return check


def some_of(choices: Collection[str]) -> Check:
    """Check for one or more of the choices, comma-separated or as several strings."""

    def check(name: str, value: str | Iterable[str]) -> None:
        words = split_words(value)
        if not words or any(word not in choices for word in words):
            shown = value if isinstance(value, str) else ",".join(words)
            raise InvalidOption(
                f"{name} is {quote(shown)}; expected some of {', '.join(choices)}, separated by"
                " commas."
            )

    return check


def split_words(value: str | Iterable[str]) -> list[str]:
    """Split the value of a multiple-choice option into words."""
    words = value.split(",") if isinstance(value, str) else value
    return [word.strip() for word in words]


def id_up_to(longest: int) -> Check:
    """Check for an id of 1 to `longest` bytes."""

    def check(name: str, value: str | bytes) -> None:
        size = len(value.encode() if isinstance(value, str) else value)
        if not 1 <= size <= longest:
            raise InvalidOption(f"The {name}'s id is {size} bytes long; expected 1 to {longest}.")

    return check


def check_style_count(count: int) -> int:
    """Return `count` if it is a valid number of styles; raises InvalidOption otherwise."""
    if not 1 <= count <= MAX_STYLES:
        raise InvalidOption(f"There are {count} styles; expected 1 to {MAX_STYLES}.")
    return count


def check_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """Normalize the weights of `count` styles to sum to 1; None gives equal weights.

    Raises InvalidOption when the number of weights is not `count`, when a weight is negative or
    not finite, and when all are 0.
    """
    if weights is None:
        return [1.0 / count] * count
    if len(weights) != count:
        raise InvalidOption(
            f"There are {len(weights)} weights for {count} styles; expected one for each."
        )
    if not all(math.isfinite(weight) and weight >= 0.0 for weight in weights):
        listed = ", ".join(f"{weight:g}" for weight in weights)
        raise InvalidOption(f"The weights are {listed}; expected numbers from 0 up.")
    total = math.fsum(weights)
    if total == 0.0:
        raise InvalidOption("The weights are all 0; expected at least one above 0.")
    return [weight / total for weight in weights]


def either(words: Sequence[str]) -> str:
    """Format words as alternatives: "a, b or c"."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def quote(text: str) -> str:
    """Quote a caller's value, truncated for an error message."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
