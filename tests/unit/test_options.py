"""The options of a request."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from photoreal import options
from photoreal.contract import (
    DEFAULT_BLEND,
    DEFAULT_TRANSFER_AT,
    MATCH_RULES,
    MAX_BLEND,
    PLACES,
)
from photoreal.errors import InvalidOption, InvalidRequest

CheckSentence = Callable[[object], None]


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_alpha_in_range_is_kept(alpha: float) -> None:
    assert options.check_alpha(alpha) == alpha


@pytest.mark.parametrize("alpha", [-0.01, 1.01, math.nan, math.inf, -math.inf, 1e300])
def test_alpha_out_of_range_is_refused(alpha: float, check_sentence: CheckSentence) -> None:
    with pytest.raises(InvalidOption, match=r"alpha is .*from 0 to 1") as no:
        options.check_alpha(alpha)
    check_sentence(no.value)


@pytest.mark.parametrize("blend", [0, 1, MAX_BLEND, *DEFAULT_BLEND.values()])
def test_blend_in_range_is_kept(blend: int) -> None:
    assert options.check_blend(blend) == blend


@pytest.mark.parametrize("blend", [-1, MAX_BLEND + 1, -(2**31), 2**31 - 1])
def test_blend_out_of_range_is_refused(blend: int, check_sentence: CheckSentence) -> None:
    with pytest.raises(InvalidOption, match=rf"^blend is {blend}; expected 0 to 64 pix") as no:
        options.check_blend(blend)
    check_sentence(no.value)


def test_every_rule_of_matching_has_a_blend_of_its_own() -> None:
    assert set(DEFAULT_BLEND) == set(MATCH_RULES)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (DEFAULT_TRANSFER_AT, PLACES),
        ("decoder,encoder", ("encoder", "decoder")),
        (" skip ", ("skip",)),
        ("skip,skip", ("skip",)),
    ],
)
def test_places_come_in_the_order_of_the_transfer(text: str, places: tuple[str, ...]) -> None:
    assert options.parse_places(text) == places


@pytest.mark.parametrize("text", ["", ",", "encoder,", "Encoder", "encoder;skip", "x" * 5000])
def test_unknown_places_are_refused(text: str, check_sentence: CheckSentence) -> None:
    with pytest.raises(InvalidOption, match=r"transfer_at is .*encoder, skip, decoder") as no:
        options.parse_places(text)
    check_sentence(no.value)
    assert len(str(no.value)) < 200


@pytest.mark.parametrize("rule", MATCH_RULES)
def test_rules_of_matching_are_known_by_name(rule: str) -> None:
    assert options.parse_match(rule) == rule


@pytest.mark.parametrize("text", ["", "Nearest", "published\n", "\x00" * 100])
def test_unknown_rules_are_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"match is .*published or nearest") as no:
        options.parse_match(text)
    assert "\n" not in str(no.value)
    assert len(str(no.value)) < 300


def test_a_wrong_option_is_a_wrong_request_and_a_value_error() -> None:
    assert issubclass(InvalidOption, InvalidRequest)
    assert issubclass(InvalidRequest, ValueError)
