"""`docs/deployment.md` speaks of what is there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest

from photoreal.cli import SUBCOMMANDS


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "deployment.md").read_text()


def test_commands_exist(text: str, parse_command: Callable[[Sequence[str]], click.Context]) -> None:
    calls = [
        shlex.split(call) for call in re.findall(r"`(photoreal [^`]+)`", text.replace("\n", " "))
    ]
    assert len(calls) > 5
    for call in calls:
        if call[1] in SUBCOMMANDS or call[1] != "health":
            parse_command(call)


def test_variables_are_those_of_compose(text: str, root: Path) -> None:
    compose = (root / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{(\w+):-", compose)) | set(
        re.findall(r"^    (PHOTOREAL_\w+):$", compose, re.MULTILINE)
    )
    assert used == set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def test_links_lead_somewhere(text: str, root: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert len(links) >= 4
    for link in links:
        assert (root / "docs" / link).exists(), link
