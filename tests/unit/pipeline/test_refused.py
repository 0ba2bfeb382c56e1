"""Requests that are refused, with a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from photoreal.errors import InvalidImage, InvalidMask, InvalidOption, InvalidRequest
from photoreal.pipeline.request import StylizeRequest
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import Limits
from photoreal.regions.classes import ADE20K

from .conftest import (
    LIMITS,
    CheckSentence,
    FakeModels,
    models_of,
    rows,
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"alpha": math.nan}, "alpha is nan"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"transfer_at": "everywhere"}, "transfer_at is 'everywhere'"),
        ({"match": "closest"}, "match is 'closest'"),
        ({"size": 15}, "size is 15"),
        ({"size": 2049}, "size is 2049"),
        ({"blend": -1}, "blend is -1"),
        ({"blend": 65}, "blend is 65"),
    ],
)
def test_wrong_options_are_refused(
    change: dict[str, Any],
    words: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    with pytest.raises(InvalidOption) as no:
        stylize(request_for(**change), models_of(fake, ADE20K), LIMITS)
    assert str(no.value).startswith(words)
    check_sentence(no.value)
    assert not fake.segmented
    assert not fake.transfers
    assert not fake.soft_transfers


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": -1.0},
        {"transfer_at": ""},
        {"match": ""},
        {"content_mask": b"x"},
        {"size": 0},
        {"blend": 65},
    ],
    ids=str,
)
def test_options_are_checked_before_any_photo_is_decoded(
    change: dict[str, Any], fake: FakeModels
) -> None:
    request = StylizeRequest(**{"content": b"no photo", "style": b"no photo", **change})
    with pytest.raises((InvalidOption, InvalidMask)):
        stylize(request, models_of(fake), LIMITS)


@pytest.mark.parametrize("role", ["content", "style"])
def test_an_unreadable_photo_is_named(
    role: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    with pytest.raises(InvalidImage, match=f"^The {role} photo is no image") as no:
        stylize(request_for(**{role: b"nonsense"}), models_of(fake), LIMITS)
    check_sentence(no.value)


@pytest.mark.parametrize(("given", "lacking"), [("content", "style"), ("style", "content")])
def test_one_mask_alone_is_refused(
    given: str,
    lacking: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    request = request_for(**{f"{given}_mask": rows(16, 24, 1, 2)})
    with pytest.raises(InvalidMask, match=f"There is a {given} mask but no {lacking} mask") as no:
        stylize(request, models_of(fake), LIMITS)
    check_sentence(no.value)


@pytest.mark.parametrize("role", ["content", "style"])
def test_a_mask_of_another_size_than_its_photo_is_refused(
    role: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    check_sentence: CheckSentence,
) -> None:
    masks = {"content_mask": rows(16, 24, 1), "style_mask": rows(20, 16, 1)}
    masks[f"{role}_mask"] = rows(17, 25, 1)
    with pytest.raises(InvalidMask, match=f"The {role} mask is 25x17 pixels but .*same size") as no:
        stylize(request_for(**masks), models_of(fake), LIMITS)
    check_sentence(no.value)


def test_masks_of_different_kinds_are_refused(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, check_sentence: CheckSentence
) -> None:
    colors = np.zeros((20, 16, 3), dtype=np.uint8)
    request = request_for(content_mask=rows(16, 24, 1), style_mask=colors)
    with pytest.raises(InvalidMask, match="same kind") as no:
        stylize(request, models_of(fake), LIMITS)
    check_sentence(no.value)


def test_limits_are_those_that_were_given(
    request_for: Callable[..., StylizeRequest], fake: FakeModels
) -> None:
    for limits in (Limits(max_bytes=10), Limits(max_pixels=100), Limits(max_working_pixels=256)):
        with pytest.raises(InvalidRequest):
            stylize(request_for(), models_of(fake), limits)
    assert not fake.transfers
    assert not fake.soft_transfers
