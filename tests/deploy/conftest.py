"""What the files for containers and clusters are checked with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


def check_pinned(image: str) -> None:
    """Assert that an image is named with its version."""
    _, _, tag = image.rpartition(":")
    assert re.search(r"\d+\.\d+", tag), image
    assert "latest" not in image
