"""The options of a request."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_type_hints

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
from photoreal.options.checks import one_of

CheckSentence = Callable[[object], None]


def check(**given: Any) -> None:
    options.check_options(options.StylizeOptions(**given))


def test_defaults_are_allowed() -> None:
    check()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_alpha_in_range_is_allowed(alpha: float) -> None:
    check(alpha=alpha)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, math.nan, math.inf, -math.inf, 1e300])
def test_alpha_out_of_range_is_refused(alpha: float, check_sentence: CheckSentence) -> None:
    with pytest.raises(InvalidOption, match=r"alpha is .*from 0 to 1") as no:
        check(alpha=alpha)
    check_sentence(no.value)


@pytest.mark.parametrize("blend", [0, 1, MAX_BLEND, *DEFAULT_BLEND.values()])
def test_blend_in_range_is_allowed(blend: int) -> None:
    check(blend=blend)


@pytest.mark.parametrize("blend", [-1, MAX_BLEND + 1, -(2**31), 2**31 - 1])
def test_blend_out_of_range_is_refused(blend: int, check_sentence: CheckSentence) -> None:
    with pytest.raises(InvalidOption, match=rf"^blend is {blend}; expected 0 to 64 pix") as no:
        check(blend=blend)
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
        (["decoder", "skip"], ("skip", "decoder")),
    ],
)
def test_places_come_in_the_order_of_the_transfer(text: Any, places: tuple[str, ...]) -> None:
    assert options.parse_places(text) == places


@pytest.mark.parametrize("text", ["", ",", "encoder,", "Encoder", "encoder;skip", "x" * 5000])
def test_unknown_places_are_refused(text: str, check_sentence: CheckSentence) -> None:
    for refuse in (options.parse_places, lambda text: check(transfer_at=text)):
        with pytest.raises(InvalidOption, match=r"transfer_at is .*encoder, skip, decoder") as no:
            refuse(text)
        check_sentence(no.value)
        assert len(str(no.value)) < 200


@pytest.mark.parametrize("rule", MATCH_RULES)
def test_rules_of_matching_are_known_by_name(rule: str) -> None:
    check(match=rule)


@pytest.mark.parametrize("text", ["", "Nearest", "published\n", "\x00" * 100])
def test_unknown_rules_are_refused(text: str) -> None:
    with pytest.raises(InvalidOption, match=r"match is .*published or nearest") as no:
        check(match=text)
    assert "\n" not in str(no.value)
    assert len(str(no.value)) < 300


def test_words_are_refused_with_all_that_are_known() -> None:
    check_one = one_of(("wavelets", "color", "none"))
    check_one("way", "color")
    with pytest.raises(InvalidOption, match=r"^way is 'x'; expected wavelets, color or none\.$"):
        check_one("way", "x")


def test_a_wrong_option_is_a_wrong_request_and_a_value_error() -> None:
    assert issubclass(InvalidOption, InvalidRequest)
    assert issubclass(InvalidRequest, ValueError)


@pytest.mark.parametrize("steady", [-0.01, 1.0, math.nan])
def test_steady_out_of_range_is_refused(steady: float, check_sentence: CheckSentence) -> None:
    with pytest.raises(
        InvalidOption, match=r"^steady is .*; expected a number from 0 to 0\.99"
    ) as no:
        check(steady=steady)
    check_sentence(no.value)


@pytest.mark.parametrize("sequence", ["", b"", "x" * 65, "ä" * 33])
def test_ids_that_are_too_long_or_empty_are_refused(
    sequence: str | bytes, check_sentence: CheckSentence
) -> None:
    with pytest.raises(InvalidOption, match=r"sequence's id is \d+ bytes long") as no:
        check(sequence=sequence)
    check_sentence(no.value)
    check(sequence="ä" * 32)


def test_arguments_are_typed_as_the_options_are() -> None:
    """Type checkers know what is declared."""
    declared = get_type_hints(options.StylizeOptions)
    arguments = get_type_hints(options.StylizeArguments)
    assert arguments == {name: one | None for name, one in declared.items()}
    regions = get_type_hints(options.RegionArguments)
    assert regions.keys() == {option.name for option in options.offered("regions")}
