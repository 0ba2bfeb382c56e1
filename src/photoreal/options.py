"""The options of a request: their allowed values, checked with sentences for the caller."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import get_args

from photoreal.contract import (
    MATCH_RULES,
    MAX_BLEND,
    MAX_SEQUENCE_ID,
    MAX_STEADY,
    MAX_STYLES,
    PLACES,
    MatchRule,
    Place,
)
from photoreal.errors import InvalidOption


def check_alpha(alpha: float) -> float:
    """`alpha` when it is in 0..1; raises InvalidOption otherwise."""
    if not (math.isfinite(alpha) and 0.0 <= alpha <= 1.0):
        raise InvalidOption(f"alpha is {alpha:g}; expected a number from 0 to 1.")
    return alpha


def check_blend(blend: int) -> int:
    """`blend` when it is in 0..64; raises InvalidOption otherwise."""
    if not 0 <= blend <= MAX_BLEND:
        raise InvalidOption(f"blend is {blend}; expected 0 to {MAX_BLEND} pixels.")
    return blend


def check_style_count(count: int) -> int:
    """`count` when so many styles may be mixed; raises InvalidOption otherwise."""
    if not 1 <= count <= MAX_STYLES:
        raise InvalidOption(f"There are {count} styles; expected 1 to {MAX_STYLES}.")
    return count


def check_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """The shares of `count` styles, which add up to 1; None shares equally.

    Raises InvalidOption when they are not as many, or no numbers from 0 up of which one is
    above.
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


def check_sequence(sequence: bytes) -> bytes:
    """`sequence` when it can name a sequence of frames; raises InvalidOption otherwise."""
    if not 1 <= len(sequence) <= MAX_SEQUENCE_ID:
        raise InvalidOption(
            f"The sequence's id is {len(sequence)} bytes long; expected 1 to {MAX_SEQUENCE_ID}."
        )
    return sequence


def check_steady(steady: float) -> float:
    """`steady` when it is in 0..0.99; raises InvalidOption otherwise."""
    if not (math.isfinite(steady) and 0.0 <= steady <= MAX_STEADY):
        raise InvalidOption(f"steady is {steady:g}; expected a number from 0 to {MAX_STEADY:g}.")
    return steady


def parse_places(text: str) -> tuple[Place, ...]:
    """Places of the transfer from a comma-separated list; raises InvalidOption."""
    names = [name.strip() for name in text.split(",")]
    if not names or any(name not in get_args(Place) for name in names):
        raise InvalidOption(
            f"transfer_at is {_quote(text)}; expected some of {', '.join(PLACES)}, separated by"
            " commas."
        )
    return tuple(place for place in PLACES if place in names)


def parse_match(text: str) -> MatchRule:
    """A rule of matching by name; raises InvalidOption."""
    for rule in MATCH_RULES:
        if text == rule:
            return rule
    raise InvalidOption(f"match is {_quote(text)}; expected {_choice(MATCH_RULES)}.")


def _choice(words: Collection[str]) -> str:
    return " or ".join(words)


def _quote(text: str) -> str:
    """The caller's own word, cut to a length that an error message can bear."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
