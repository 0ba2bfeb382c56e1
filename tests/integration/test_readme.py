"""The programs that the README shows run as they stand, against a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from photoreal.serve.launcher import Server

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_makes_a_picture(number: int, local: Server, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = PROGRAMS[number]
    assert program.count('"localhost:8000"') == 1
    program = program.replace("localhost:8000", local.http_url)
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (384, 256)
