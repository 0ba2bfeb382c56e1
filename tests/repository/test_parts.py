"""The parts that `-m` chooses cover the suite, and unit tests can be imported on every system."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PARTS = {"unit", "server", "browser", "docs", "deploy", "slow"}
POSIX = {"fcntl", "grp", "pwd", "resource", "termios"}
"""Modules of the standard library that Windows lacks."""


def test_every_test_is_in_a_part(request: pytest.FixtureRequest) -> None:
    """As far as they were collected: all of them by the two runs of `make test`."""
    for item in request.session.items:
        marks = {mark.name for mark in item.iter_markers()}
        assert marks & PARTS, item.nodeid
        assert "unit" not in marks or not marks & {"server", "browser", "slow", "long"}, item.nodeid
        if "integration" in item.path.parts or "faults" in item.path.parts:
            assert marks & {"server", "docs"}, item.nodeid


@cache
def _imported(file: Path) -> frozenset[str]:
    """Modules that importing a file imports: those inside functions wait."""
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)


@cache
def _file(name: str) -> Path | None:
    """The file of a module of this project."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):  # a name inside a module
        return None
    if spec is None or spec.origin is None or not name.startswith("photoreal"):
        return None
    return Path(spec.origin)


def _needed(file: Path, seen: set[Path]) -> Iterator[str]:
    seen.add(file)
    for name in _imported(file):
        if name in POSIX:
            yield name
        found = _file(name)
        if found is not None and found not in seen:
            yield from _needed(found, seen)


def test_what_is_collected_on_other_systems_can_be_imported_there(
    pytestconfig: pytest.Config,
) -> None:
    (conftest,) = [
        plugin
        for plugin in pytestconfig.pluginmanager.get_plugins()
        if getattr(plugin, "__file__", None) == str(TESTS / "conftest.py")
    ]
    elsewhere = [
        file
        for file in TESTS.rglob("*.py")
        if not set(file.relative_to(TESTS).parts) & set(conftest.LINUX_ONLY)
    ]
    assert len(elsewhere) > 50
    assert not {str(file.relative_to(TESTS)) for file in elsewhere if any(_needed(file, set()))}
    # The check does see what it looks for.
    assert any(_needed(TESTS / "unit" / "serve" / "launch" / "test_server.py", set()))
