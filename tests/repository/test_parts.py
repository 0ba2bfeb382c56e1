"""The parts that `-m` chooses cover the suite."""

from __future__ import annotations

import pytest

PARTS = {"unit", "server", "browser", "docs", "deploy", "slow"}


def test_every_test_is_in_a_part(request: pytest.FixtureRequest) -> None:
    """As far as they were collected: all of them in `make test`."""
    for item in request.session.items:
        marks = {mark.name for mark in item.iter_markers()}
        assert marks & PARTS, item.nodeid
        assert "unit" not in marks or not marks & {"server", "browser", "slow", "long"}, item.nodeid
        if "integration" in item.path.parts or "faults" in item.path.parts:
            assert marks & {"server", "docs"}, item.nodeid
