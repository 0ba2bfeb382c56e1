"""What the files for containers and clusters are checked with."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import click
import pytest

from photoreal.cli import SUBCOMMANDS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def parse_command() -> Callable[[Sequence[str]], click.Context]:
    """Parses a call of `photoreal` as the program itself does; running it is not part of that."""

    def parse(call: Sequence[str]) -> click.Context:
        program, verb, *arguments = call
        assert program == "photoreal"
        subcommand = SUBCOMMANDS[verb]
        command: click.Command = getattr(import_module(subcommand.module), subcommand.attribute)
        return command.make_context(verb, arguments)

    return parse


@pytest.fixture(scope="session")
def check_pinned() -> Callable[[str], None]:
    """Asserts that an image is named with its version."""

    def check(image: str) -> None:
        _, _, tag = image.rpartition(":")
        assert re.search(r"\d+\.\d+", tag), image
        assert "latest" not in image

    return check
