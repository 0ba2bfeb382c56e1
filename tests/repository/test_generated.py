"""What `make generate` writes is as it would write it now."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.shared import output_of

pytestmark = [pytest.mark.docs, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def test_generated_files_are_up_to_date() -> None:
    output_of(sys.executable, "docs/generate.py", "--check", cwd=ROOT)
