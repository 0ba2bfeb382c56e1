"""`photoreal stylize --content-dir` as its user calls it, against the real server."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

PROGRAM = Path(sys.executable).with_name("photoreal")
MANIFEST = "photoreal-finished.jsonl"


@pytest.fixture
def folder(tmp_path: Path, pair: Callable[[str], dict[str, Any]]) -> Path:
    """Four photos, one of which is damaged, and another file."""
    contents = tmp_path / "in"
    contents.mkdir()
    files = pair("pagoda-dusk")
    shutil.copy(files["style"], tmp_path / "style.jpg")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Camera"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 51.0, 30.0)}
    with Image.open(files["content"]) as photo:
        small = photo.resize((96, 64))
    small.transpose(Image.Transpose.ROTATE_90).save(contents / "turned.jpg", exif=exif)
    small.save(contents / "plain.png")
    small.save(contents / "third.webp")
    (contents / "damaged.jpg").write_bytes((contents / "turned.jpg").read_bytes()[:900])
    (contents / "notes.txt").write_text("notes")
    return contents


def _command(server: Server | str, *options: object) -> list[str]:
    url = server if isinstance(server, str) else server.http_url
    call = [PROGRAM, "stylize", "--content-dir", "in", "--style", "style.jpg", "-o", "out"]
    return [*map(str, call), "--url", url, "--size", "32", "--no-segment", *map(str, options)]


def _run(folder: Path, server: Server | str, *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(server, *options),
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_folder_from_end_to_end(local: Server, folder: Path) -> None:
    out = folder.parent / "out"
    done = _run(folder, local)
    assert done.returncode == 1
    assert done.stderr.startswith("Failed: damaged.jpg: The content photo is ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == "out: 4 photos, 3 done, 1 failed. Ignored 1 other file.\n"
    names = {"plain.png", "third.webp", "turned.jpg", MANIFEST}
    assert {path.name for path in out.iterdir()} == names
    for name in names - {MANIFEST}:
        with Image.open(out / name) as picture:
            assert picture.size == (96, 64)
    with Image.open(out / "turned.jpg") as picture:
        exif = picture.getexif()
    assert exif[ExifTags.Base.Make] == "Camera"
    assert ExifTags.Base.Orientation not in exif
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[2] == (48.0, 51.0, 30.0)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (folder / "damaged.jpg").unlink()
    again = _run(folder, local)
    assert (again.returncode, again.stderr) == (0, "")
    assert "3 photos, 0 done, 3 already finished" in again.stdout
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C reach programs of a test: a shell's background jobs begin with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interruption_and_going_on(local: Server, folder: Path) -> None:
    (folder / "damaged.jpg").unlink()
    with Image.open(folder / "plain.png") as photo:
        for number in range(30):
            photo.save(folder / f"more{number}.png")
    out = folder.parent / "out"
    process = subprocess.Popen(
        _command(local, "--in-flight", 1),
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (out / MANIFEST).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "not started; repeat the command to continue" in stdout
    assert "Traceback" not in stderr
    finished = {path.name for path in out.iterdir()} - {MANIFEST}
    assert 0 < len(finished) < 33
    for name in finished:
        with Image.open(out / name) as picture:
            picture.load()
    done = _run(folder, local)
    assert done.returncode == 0, done.stderr
    assert f"{33 - len(finished)} done, {len(finished)} already finished" in done.stdout


def test_no_server_and_embedded_server(folder: Path, repository: Path) -> None:
    (folder / "damaged.jpg").unlink()
    (port,) = free_ports("127.0.0.1", 1)
    url = f"127.0.0.1:{port}"
    done = _run(folder, url)
    assert done.returncode == 1
    assert f"No server is ready at {url}" in done.stderr
    assert "Start one with `photoreal serve`, or add --embedded." in done.stderr
    assert "3 not started; repeat the command to continue" in done.stdout
    done = _run(folder, url, "--embedded", "--repository", repository)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 photos, 3 done." in done.stdout
