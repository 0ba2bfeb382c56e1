"""The table of Triton's messages."""

from __future__ import annotations

from itertools import permutations

import pytest

from photoreal.triton_messages import OTHERS, TRITON, Condition, reports

TABLES = [*TRITON.values(), *OTHERS.values()]


@pytest.mark.parametrize("condition", Condition)
def test_each_condition_is_known_by_its_own_text(condition: Condition) -> None:
    texts = [table[condition] for table in TABLES if condition in table]
    assert texts
    for text in texts:
        message = f"Model wct2 - Error: {text} (1)."
        assert [one for one in Condition if reports(message, one)] == [condition]
        assert reports(message, *Condition)
        assert not reports(message, *(one for one in Condition if one is not condition))


def test_no_text_contains_another() -> None:
    texts = {text for table in TABLES for text in table.values()}
    assert not [pair for pair in permutations(texts, 2) if pair[0] in pair[1]]
    assert not reports("size is 0; expected 16 or more.", *Condition)
