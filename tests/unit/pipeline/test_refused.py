"""Requests that are refused, with a sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from photoreal.contract import MAX_STYLES
from photoreal.errors import InvalidImage, InvalidMask, InvalidOption, InvalidRequest
from photoreal.preprocess import Limits
from photoreal.regions.classes import ADE20K
from tests.shared import refused

from .conftest import STYLE, Ask, rows

MASKS = {"content_mask": rows(16, 24, 1), "style_mask": rows(20, 16, 1)}
NO_PHOTOS = {"content": b"no photo", "style": b"no photo"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"alpha": math.nan}, "^alpha is nan"),
        ({"alpha": 1.5}, "^alpha is 1.5"),
        ({"transfer_at": "everywhere"}, "^transfer_at is 'everywhere'"),
        ({"transfer_at": ""}, "^transfer_at is"),
        ({"match": "closest"}, "^match is 'closest'"),
        ({"size": 0}, "^size is 0"),
        ({"size": 15}, "^size is 15"),
        ({"size": 2049}, "^size is 2049"),
        ({"blend": -1}, "^blend is -1"),
        ({"blend": 65}, "^blend is 65"),
        ({"content_mask": b"x"}, "There is a content mask but no style mask"),
        ({"style_mask": b"x"}, "There is a style mask but no content mask"),
        ({"sequence": b""}, "0 bytes long; expected 1 to 64"),
        ({"sequence": b"x" * 65}, "65 bytes long"),
        ({"sequence": b"x", "steady": 1.0}, "steady is 1; expected a number from 0 to 0.99"),
        ({"steady": 0.5}, "steady is given without a sequence"),
    ],
    ids=str,
)
def test_options_are_checked_before_any_photo_is_decoded(
    given: dict[str, Any], words: str, ask: Ask
) -> None:
    with refused(InvalidMask if "mask" in words else InvalidOption, words):
        ask(**NO_PHOTOS, **given)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"content": b"nonsense"}, InvalidImage, "^The content photo is not an image"),
        ({"style": b"nonsense"}, InvalidImage, "^The style photo is not an image"),
        (
            MASKS | {"content_mask": rows(17, 25, 1)},
            InvalidMask,
            "The content mask is 25x17 pixels but .*same size",
        ),
        (
            MASKS | {"style_mask": rows(17, 25, 1)},
            InvalidMask,
            "The style mask is 25x17 pixels but .*same size",
        ),
        (MASKS | {"style_mask": np.zeros((20, 16, 3), np.uint8)}, InvalidMask, "same kind"),
    ],
    ids=["content", "style", "content mask", "style mask", "kinds"],
)
@pytest.mark.parametrize("method", ["wct2", "published"])
def test_pictures_that_do_not_fit(
    method: str, given: dict[str, Any], error: type[InvalidRequest], words: str, ask: Ask
) -> None:
    ask.classes = ADE20K
    with refused(error, words):
        ask(**given, method=method)
    assert not ask.segmented
    assert not ask.transfers


@pytest.mark.parametrize(
    ("count", "given", "words"),
    [
        (2, {"weights": [1.0]}, "1 weights for 2 styles"),
        (1, {"weights": [0.5, 0.5]}, "2 weights for 1 styles"),
        (2, {"weights": [1.0, -0.5]}, "The weights are 1, -0.5; expected numbers from 0"),
        (2, {"weights": [1.0, float("nan")]}, "expected numbers from 0"),
        (2, {"weights": [0.0, 0.0]}, "all 0"),
        (MAX_STYLES + 1, {}, "There are 5 styles; expected 1 to 4"),
        (0, {}, "There are 0 styles"),
        (2, MASKS | {"style_mask": [rows(20, 16, 1)]}, "1 style masks"),
        (2, {"pairs": [[0, 0]]}, "for several styles; expected a single style"),
    ],
)
def test_several_styles(count: int, given: dict[str, Any], words: str, ask: Ask) -> None:
    with refused(InvalidRequest, words):
        ask(style=[STYLE] * count, **given)
    assert not ask.transfers


@pytest.mark.parametrize(
    "limits", [Limits(max_bytes=10), Limits(max_pixels=100), Limits(max_working_pixels=256)]
)
def test_limits_are_those_that_were_given(limits: Limits, ask: Ask) -> None:
    ask.limits = limits
    with pytest.raises(InvalidRequest):
        ask()
    assert not ask.transfers
