"""`docs/deployment.md` speaks of what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.docs


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs" / "deployment.md").read_text()


def test_variables_are_those_of_compose(text: str, root: Path) -> None:
    compose = (root / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{(\w+):-", compose)) | set(
        re.findall(r"^    (PHOTOREAL_\w+):$", compose, re.MULTILINE)
    )
    assert used == set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
