"""The commands that the README shows are commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from photoreal.client.command import stylize
from photoreal.client.video.command import video
from photoreal.client.warm_command import warm
from photoreal.contract import DEFAULT_BLEND, DEFAULT_SIZE, MAX_BLEND, STYLIZE, TensorSpec
from photoreal.export.command import export
from photoreal.preprocess import Limits
from photoreal.serve.command import serve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))
COMMANDS: dict[str, click.Command] = {
    "stylize": stylize,
    "serve": serve,
    "export": export,
    "warm": warm,
    "video": video,
}


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
    if not arguments and verb in ("stylize", "video"):
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
    assert (
        f"0 to {MAX_BLEND}; default {DEFAULT_BLEND['published']} with `published`,"
        f" {DEFAULT_BLEND['nearest']} with `nearest`"
    ) in text


def test_tables_list_every_tensor_of_stylize() -> None:
    rows: dict[str, str] = {}
    for names, kind in re.findall(r"^\| ([A-Z_, ]+) \| (\w+ \[.*?) \|", README, re.MULTILINE):
        rows |= dict.fromkeys(names.split(", "), kind)
    specs = (*STYLIZE.inputs, *STYLIZE.outputs)
    assert rows == {spec.name: _in_words(spec) for spec in specs}


def _in_words(spec: TensorSpec) -> str:
    dims = ", ".join("n" if size == -1 else str(size) for size in spec.dims)
    return f"{spec.dtype} [{dims}]" + (", optional" if spec.optional else "")


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
