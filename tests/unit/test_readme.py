"""The commands that the README shows are commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from photoreal.client.command import stylize
from photoreal.contract import DEFAULT_SIZE
from photoreal.export.command import export
from photoreal.preprocess import Limits
from photoreal.serve.command import serve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
COMMANDS: dict[str, click.Command] = {"stylize": stylize, "serve": serve, "export": export}


def test_every_command_is_shown() -> None:
    assert {line.split()[1] for line in _lines("photoreal")} == set(COMMANDS)


@pytest.mark.parametrize("line", re.findall(r"`(photoreal [a-z].*?)`", README.replace("\n", " ")))
def test_commands_in_the_text_parse(line: str) -> None:
    _parse(line)


def _lines(program: str) -> list[str]:
    return [line for line in BLOCKS.splitlines() if line.startswith(f"{program} ")]


@pytest.mark.parametrize("line", _lines("photoreal"))
def test_commands_parse(line: str) -> None:
    _parse(line)


def _parse(line: str) -> None:
    _, verb, *arguments = shlex.split(line, comments=True)
    if not arguments and verb == "stylize":
        return  # named, not shown
    COMMANDS[verb].make_context(verb, arguments)


@pytest.mark.parametrize("line", _lines("make"))
def test_make_targets_exist(line: str) -> None:
    target = line.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_limits_are_those_of_the_program() -> None:
    limits, text = Limits(), " ".join(README.split())
    megabytes, megapixels = limits.max_bytes // 2**20, limits.max_pixels // 10**6
    assert f"{megabytes} MiB and {megapixels} megapixels a photo" in text
    assert f"at least {limits.min_side} pixels a side" in text
    assert f"a working size of {limits.min_size} to {limits.max_size} on the shorter side" in text
    assert f"at most {limits.max_working_pixels / 1e6:.1f} megapixels in all" in text
    assert f"{limits.min_size} to {limits.max_size}; default {DEFAULT_SIZE}" in text


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
