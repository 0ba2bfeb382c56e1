"""The options of a request."""

from __future__ import annotations

import math
from typing import Any, get_type_hints

import pytest

from photoreal import options
from photoreal.contract import (
    DEFAULT_BLEND,
    MATCH_RULES,
    MAX_BLEND,
    PLACES,
)
from photoreal.errors import InvalidOption, InvalidRequest
from photoreal.options.checks import one_of
from tests.shared import refused


def check(**given: Any) -> None:
    options.check_options(options.StylizeOptions(**given))


@pytest.mark.parametrize(
    "given",
    [
        {},
        *({"alpha": alpha} for alpha in (0.0, 0.5, 1.0)),
        *({"blend": blend} for blend in (0, 1, MAX_BLEND, *DEFAULT_BLEND.values())),
        *({"match": rule} for rule in MATCH_RULES),
        {"sequence": "ä" * 32},
    ],
    ids=str,
)
def test_allowed(given: dict[str, Any]) -> None:
    check(**given)


ALPHA = r"^alpha is .*from 0 to 1"
PLACE = r"^transfer_at is .*encoder, skip, decoder"
RULE = r"^match is .*published or nearest"
STEADY = r"^steady is .*; expected a number from 0 to 0\.99"


@pytest.mark.parametrize(
    ("option", "values", "words"),
    [
        ("alpha", [-0.01, 1.01, math.nan, math.inf, -math.inf, 1e300], ALPHA),
        (
            "blend",
            [-1, MAX_BLEND + 1, -(2**31), 2**31 - 1],
            r"^blend is -?\d+; expected 0 to 64 pix",
        ),
        ("transfer_at", ["", ",", "encoder,", "Encoder", "encoder;skip", "x" * 5000], PLACE),
        ("match", ["", "Nearest"], RULE),
        ("steady", [-0.01, 1.0, math.nan], STEADY),
        ("sequence", ["", b"", "x" * 65, "ä" * 33], r"^The sequence's id is \d+ bytes long"),
    ],
)
def test_refused(option: str, values: list[Any], words: str) -> None:
    for value in values:
        with refused(InvalidOption, words) as caught:
            check(**{option: value})
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("rule", ["published\n", "\0" * 100], ids=["line feed", "zeros"])
def test_odd_characters_are_escaped(rule: str) -> None:
    with pytest.raises(InvalidOption, match=RULE) as caught:
        check(match=rule)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_every_rule_of_matching_has_a_blend_of_its_own() -> None:
    assert set(DEFAULT_BLEND) == set(MATCH_RULES)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (",".join(PLACES), PLACES),
        ("decoder,encoder", ("encoder", "decoder")),
        (" skip ", ("skip",)),
        ("skip,skip", ("skip",)),
        (["decoder", "skip"], ("skip", "decoder")),
    ],
)
def test_places_come_in_the_order_of_the_transfer(text: Any, places: tuple[str, ...]) -> None:
    assert options.parse_places(text, soft=True) == places


@pytest.mark.parametrize(("soft", "places"), [(True, ("decoder",)), (False, PLACES)])
def test_default_places_depend_on_the_kind_of_regions(soft: bool, places: tuple[str, ...]) -> None:
    assert options.parse_places(None, soft=soft) == places


def test_words_are_refused_with_all_that_are_known() -> None:
    check_one = one_of(("wavelets", "color", "none"))
    check_one("way", "color")
    with pytest.raises(InvalidOption, match=r"^way is 'x'; expected wavelets, color or none\.$"):
        check_one("way", "x")


def test_a_wrong_option_is_a_wrong_request_and_a_value_error() -> None:
    assert issubclass(InvalidOption, InvalidRequest)
    assert issubclass(InvalidRequest, ValueError)


def test_arguments_are_typed_as_the_options_are() -> None:
    """Type checkers know what is declared."""
    declared = get_type_hints(options.StylizeOptions)
    arguments = get_type_hints(options.StylizeArguments)
    assert arguments == {name: one | None for name, one in declared.items()}
    regions = get_type_hints(options.RegionArguments)
    assert regions.keys() == {option.name for option in options.offered("regions")}
