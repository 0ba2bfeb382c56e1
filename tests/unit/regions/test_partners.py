"""Regions whose partner is of another class change mostly with the photo as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from photoreal.regions.partners import MOST_WHOLE, whole_shares
from tests.shared import class_probabilities


@pytest.mark.parametrize(
    ("content", "style", "expected"),
    [
        ({"sky": 0.9}, {"sky": 0.6, "building": 0.4}, 0.0),
        ({"sky": 0.9}, {"building": 0.9}, MOST_WHOLE),
        ({"sky": 0.9}, {"sky": 0.45}, MOST_WHOLE / 2),
        ({"sky": 0.675, "water": 0.1}, {"building": 0.9}, MOST_WHOLE / 2),
        ({"sky": 0.5, "building": 0.1}, {"ground": 0.9}, 0.0),
        ({"sky": 0.9}, {"water": 0.8}, 0.0),
        ({"water": 0.9}, {"sky": 0.8}, 0.0),
        ({"vegetation": 0.5, "building": 0.5}, {"vegetation": 0.9}, 0.0),
        ({}, {"sky": 0.9}, 0.0),
        ({"sky": 0.9}, {}, 0.0),
    ],
)
def test_known_regions_with_an_unlike_partner_follow_the_photo(
    content: dict[str, float], style: dict[str, float], expected: float
) -> None:
    ours, theirs = class_probabilities(**content), class_probabilities(**style)
    found = whole_shares(ours, theirs, np.ones((1, 1)))
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_partner_is_the_mixture() -> None:
    style = np.concatenate([class_probabilities(sky=1.0), class_probabilities(ground=1.0)])
    content = np.concatenate([class_probabilities(sky=1.0)] * 3)
    coupling = np.array([[0.6, 0.4], [0.1, 0.9], [0.0, 0.0]])
    np.testing.assert_allclose(whole_shares(content, style, coupling), [0.0, MOST_WHOLE, 0.0])
