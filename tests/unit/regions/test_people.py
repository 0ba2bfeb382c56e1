"""People keep most of their own colors where the style shows no one."""

from __future__ import annotations

import numpy as np
import pytest

from photoreal.regions.people import KEPT, kept_colors
from tests.shared import class_probabilities


@pytest.mark.parametrize(
    ("content", "style", "expected"),
    [
        ({"person": 0.9}, {"vegetation": 1.0}, KEPT),
        ({"person": 0.9}, {"person": 0.8}, 0.0),
        ({"person": 0.9}, {"person": 0.35}, KEPT / 2),
        ({"person": 0.725}, {"vegetation": 1.0}, KEPT / 2),
        ({"person": 0.6}, {"vegetation": 1.0}, 0.0),
        ({"animal": 0.9}, {"vegetation": 1.0}, 0.0),
        ({"vegetation": 0.9}, {"building": 1.0}, 0.0),
    ],
)
def test_sure_people_without_a_partner_keep_their_colors(
    content: dict[str, float], style: dict[str, float], expected: float
) -> None:
    found = kept_colors(
        class_probabilities(**content), class_probabilities(**style), np.ones((1, 1))
    )
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_partner_is_the_mixture() -> None:
    style = np.concatenate([class_probabilities(person=1.0), class_probabilities(vegetation=1.0)])
    content = np.concatenate([class_probabilities(person=1.0)] * 2)
    found = kept_colors(content, style, np.array([[0.6, 0.4], [0.1, 0.9]]))
    np.testing.assert_allclose(found, [0.0, KEPT])
