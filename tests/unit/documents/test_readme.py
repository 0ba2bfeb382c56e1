"""The front page shows every command for users, and tables hold the program's limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from photoreal.contract import DEFAULT_BLEND, DEFAULT_SIZE, MAX_BLEND
from photoreal.preprocess import Limits

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", README, re.DOTALL))


def test_every_command_is_shown() -> None:
    shown = set(re.findall(r"^photoreal ([a-z-]+)", BLOCKS, re.MULTILINE))
    assert shown == {"stylize", "serve", "export", "warm", "web", "upload", "video", "health"}


def test_limits_are_those_of_the_program() -> None:
    limits = Limits()
    text = " ".join((ROOT / "docs" / "limits.md").read_text().split())
    megabytes, megapixels = limits.max_bytes // 2**20, limits.max_pixels // 10**6
    assert f"{megabytes} MiB and {megapixels} megapixels a photo" in text
    assert f"at least {limits.min_side} pixels a side" in text
    assert f"a working size of {limits.min_size} to {limits.max_size} on the shorter side" in text
    assert f"at most {limits.max_working_pixels / 1e6:.1f} megapixels in all" in text
    text = (ROOT / "docs" / "api.md").read_text()
    assert f"{limits.min_size} to {limits.max_size}; default {DEFAULT_SIZE}" in text
    assert (
        f"0 to {MAX_BLEND}; default {DEFAULT_BLEND['published']} with the rule `published`,"
        f" {DEFAULT_BLEND['nearest']} with `nearest`"
    ) in text
