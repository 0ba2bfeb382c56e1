"""The options of a request: their allowed values, checked with sentences for the caller."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import get_args

from photoreal.contract import MATCH_RULES, MAX_BLEND, PLACES, MatchRule, Place
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
