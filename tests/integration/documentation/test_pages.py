"""What the pages show exists: commands, targets, files, links, tensors."""

from __future__ import annotations

import ast
import re
import shlex
from importlib.metadata import metadata
from pathlib import Path

import pytest

from photoreal.cli import SUBCOMMANDS
from photoreal.contract import CANCEL, SEGMENTER, STYLIZE, WCT2, ModelSpec, TensorSpec
from tests.kinds import Patch
from tests.shared import parse_command

ROOT = Path(__file__).parents[3]
OUTSIDE = {"curl", "docker", "export", "kubectl", "make", "photoreal", "pip", "python"}


def test_commands_parse(page: str, command_line: str, monkeypatch: Patch) -> None:
    monkeypatch.chdir(ROOT)
    parse_command(shlex.split(command_line, comments=True))


def test_every_command_is_in_the_reference(pages: dict[str, str]) -> None:
    assert set(SUBCOMMANDS) >= {"stylize", "serve", "health"}
    shown = re.findall(r"photoreal ([a-z-]+)", "\n".join(pages.values()))
    assert set(SUBCOMMANDS) <= set(shown)


def test_other_programs_have_what_they_name(page: str, shell_line: str) -> None:
    program, *arguments = shlex.split(shell_line, comments=True)
    assert program in OUTSIDE
    if program == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{arguments[0]}:", makefile, re.MULTILINE)
    elif program == "pip":
        wanted = re.findall(r"\[([a-z,]+)\]", " ".join(arguments))
        extras = metadata("photoreal").get_all("Provides-Extra") or []
        assert set(",".join(wanted).split(",")) <= set(extras)
    elif program == "python":
        assert (ROOT / arguments[0]).exists()
    elif program == "kubectl" and arguments[0] == "apply":
        assert (ROOT / arguments[-1]).exists()


def test_programs_are_python(page: str, program: str) -> None:
    ast.parse(program)


def test_links_lead_somewhere(page: str, link: str) -> None:
    path, _, place = link.partition("#")
    if ":" in path:
        return
    target = (ROOT / page).parent / path if path else ROOT / page
    assert target.exists()
    if place:
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        assert place in [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings]


def test_blocks_are_closed(pages: dict[str, str]) -> None:
    for page, text in pages.items():
        fences = text.count("\n```") + text.startswith("```")
        assert fences % 2 == 0, page


def _rows(text: str) -> list[tuple[str, str]]:
    """Names and types of tensors; an input and an output may share a name."""
    return re.findall(r"^\| ([A-Z0-9_]+) \| (\w+ \[.*?) \|", text, re.MULTILINE)


def _in_words(spec: TensorSpec) -> list[str]:
    """A tensor's type as tables may write it: free sizes are n and m, or a picture's H and W."""
    sides = [f"{side}/{spec.stride}" if spec.stride > 1 else side for side in "HW"]
    written = []
    for free in (["n", "m"], sides, ["n", *sides]):
        names = iter(free)
        dims = [next(names, "?") if size == -1 else str(size) for size in spec.dims]
        written.append(f"{spec.dtype} [{', '.join(dims)}]" + ", optional" * spec.optional)
    return written


@pytest.mark.parametrize("model", [CANCEL, WCT2, SEGMENTER], ids=lambda model: str(model.name))
def test_tables_of_models_are_those_of_the_contract(
    pages: dict[str, str], model: ModelSpec
) -> None:
    text = pages["docs/api.md"]
    section = text[text.index(f"\n### {model.name}\n") + 1 :].split("\n### ")[0]
    rows = _rows(section)
    specs = (*model.inputs, *model.outputs)
    for spec in specs:
        assert set(rows) & {(spec.name, words) for words in _in_words(spec)}, spec
    assert sorted(name for name, _ in rows) == sorted(spec.name for spec in specs)


def test_tables_of_stylize_are_those_of_the_contract(pages: dict[str, str]) -> None:
    text = pages["docs/api.md"].split("\n## Other models")[0]
    specs = (*STYLIZE.inputs, *STYLIZE.outputs)
    assert sorted(_rows(text)) == sorted((spec.name, _in_words(spec)[0]) for spec in specs)
