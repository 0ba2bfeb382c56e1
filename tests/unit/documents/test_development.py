"""docs/development.md points to what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[3]
ROWS = re.findall(
    r"^\| ([^|]+) \| `(\w+)` in \[(.+?)\]\(\.\./(.+?)\) \|$",
    (ROOT / "docs" / "development.md").read_text(),
    re.MULTILINE,
)


def test_the_table_answers_the_questions_of_a_newcomer() -> None:
    questions = " ".join(what for what, *_ in ROWS)
    for word in ("whitening", "queue", "options", "error", "messages", "config.pbtxt"):
        assert word in questions


@pytest.mark.parametrize(("what", "name", "shown", "path"), ROWS)
def test_the_file_defines_the_name(what: str, name: str, shown: str, path: str) -> None:
    assert shown == path
    text = (ROOT / path).read_text()
    assert re.search(rf"^(?:(?:class|def) {name}\b|{name}(?:: [^=]+)? = )", text, re.MULTILINE)
