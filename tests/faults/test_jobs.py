"""Long jobs outlive what happens to the server."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .conftest import EXAMPLES, PROGRAM

pytestmark = pytest.mark.server

PHOTOS = 30


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of small photos, each of its own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(EXAMPLES / "photos/china.jpg") as image:
        small = image.convert("RGB").resize((96, 64))
    for number in range(PHOTOS):
        small.rotate(number).save(folder / f"{number:02}.png")
    return folder


def _finished(folder: Path) -> int:
    return len(list(folder.glob("*.png"))) if folder.exists() else 0


def test_a_folder_loses_no_photo_when_server_and_model_die(
    service: Any, wait: Callable[..., float], photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    wait("the server is ready", service.is_ready)
    style = EXAMPLES / "rendered/dusk.jpg"
    options = ["--size", "32", "--url", service.url("http"), "-o", str(output)]
    job = subprocess.Popen(
        [PROGRAM, "stylize", "--content-dir", photos, "--style", style, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with job:
        try:
            wait("some photos are finished", lambda: _finished(output) >= 3)
            os.kill(service.server(), signal.SIGKILL)
            before = _finished(output)
            wait("the folder goes on", lambda: _finished(output) >= before + 5)
            service.model("stylize").kill()
            said, failed = job.communicate(timeout=600)
        finally:
            job.kill()
    assert job.returncode == 0, failed
    assert f"{PHOTOS} photos, {PHOTOS} done." in said
    assert _finished(output) == PHOTOS
    assert "Waiting for it" in failed
