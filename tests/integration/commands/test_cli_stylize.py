"""`photoreal stylize` as its user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photoreal.client import StylizeResult
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PROGRAM = Path(sys.executable).with_name("photoreal")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command in an empty folder."""

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, "stylize", *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return command


@pytest.fixture(scope="module")
def files(pair: Callable[[str], dict[str, Any]]) -> dict[str, Path]:
    return pair("pagoda-dusk")


def _masks(files: dict[str, Path]) -> tuple[object, ...]:
    return "--content-mask", files["content_mask"], "--style-mask", files["style_mask"]


def test_both_protocols_write_the_picture_and_the_labels(
    local: Server,
    run: Run,
    files: dict[str, Path],
    tmp_path: Path,
    stylize: Callable[..., StylizeResult],
) -> None:
    photos = files["content"], files["style"]
    for protocol, url in (("http", local.http_url), ("grpc", f"grpc://{local.grpc_url}")):
        where = "--url", url, "--protocol", protocol, "--save-labels", f"{protocol}/labels"
        done = run(
            *photos,
            *_masks(files),
            "-o",
            f"{protocol}.png",
            "--size",
            48,
            "--output-size",
            48,
            *where,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "72 x 48 pixels, regions from the masks (5 matched" in done.stdout
    wanted = stylize(local, **files, size=48, output_size=48)
    file = wanted.save(tmp_path / "wanted.png")
    for protocol in ("http", "grpc"):
        assert (tmp_path / f"{protocol}.png").read_bytes() == file.read_bytes()
        labels = tmp_path / protocol / "labels"
        assert {file.name for file in labels.iterdir()} == {
            f"{role}_{kind}.png" for role in ("content", "style") for kind in ("labels", "regions")
        }
        assert (labels / "content_labels.png").read_bytes() == wanted.content_labels_png
        assert (labels / "style_labels.png").read_bytes() == wanted.style_labels_png


def test_saved_labels_serve_as_masks(
    local: Server, run: Run, pair: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """As the command's own help shows it."""
    files = pair("lake-dusk")
    # This way around the style has every class that the test's segmenter finds in the content.
    common = (
        *(files["style"], files["content"], "--url", local.http_url),
        *("--size", 64, "--method", "published"),
    )
    first = run(*common, "-o", "first.png", "--save-labels", "regions")
    assert first.returncode == 0, first.stderr
    assert "regions from the segmenter" in first.stdout
    masks = "--content-mask=regions/content_labels.png", "--style-mask=regions/style_labels.png"
    again = run(*common, "-o", "again.png", *masks, "--match", "nearest", "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "first.png").read_bytes()


def test_suffix_says_the_format(
    local: Server, run: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    where = "--url", local.http_url, "--size", 16, "--output-size", 16, "--no-segment"
    done = run(files["content"], files["style"], "-o", "out.jpg", *where)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (24, 16))


def test_no_server(run: Run, files: dict[str, Path], tmp_path: Path) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    for protocol in ("http", "grpc"):
        url = f"127.0.0.1:{port}"
        photos = files["content"], files["style"]
        done = run(*photos, "-o", "out.png", "--url", url, "--protocol", protocol)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"No server is ready at {url}" in done.stderr
        assert "Start one with `photoreal serve`, or add --embedded." in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--alpha", 1.5), "alpha is 1.5; expected a number from 0 to 1."),
        (("--size", 3), "size is 3; expected 16 to 2048 pixels."),
        (("--transfer-at", "moon"), "transfer_at is 'moon'"),
        (("--style-mask", "missing.png"), "The style mask file 'missing.png' does not exist."),
        (("--match", "closest"), "--match"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_call_that_has_to_be_changed(
    local: Server,
    run: Run,
    files: dict[str, Path],
    tmp_path: Path,
    options: tuple[object, ...],
    words: str,
) -> None:
    where = "-o", "out.png", "--url", local.http_url
    done = run(files["content"], files["style"], *where, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_photo(run: Run, files: dict[str, Path]) -> None:
    done = run("missing.jpg", files["style"], "-o", "out.png")
    assert done.returncode == 2
    assert "The content file 'missing.jpg' does not exist." in done.stderr


def test_embedded_server(
    run: Run, files: dict[str, Path], tmp_path: Path, bare_repository: Path
) -> None:
    """On a repository without a segmenter, which takes photos whole."""
    (port,) = free_ports("127.0.0.1", 1)
    before = set(os.listdir("/dev/shm"))  # noqa: PTH208, S108
    where = "--url", f"127.0.0.1:{port}", "--embedded", "--repository", bare_repository
    done = run(files["content"], files["style"], "-o", "out.png", "--output-size", 32, *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "48 x 32 pixels, the whole photo as one region" in done.stdout
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (48, 32)
    ours = set(os.listdir("/dev/shm")) - before  # noqa: PTH208, S108
    assert not [name for name in ours if name.startswith("photoreal_")]


def test_embedded_server_is_not_started_where_one_is_ready(
    local: Server, run: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    where = "--url", local.http_url, "--embedded", "--repository", tmp_path / "none"
    done = run(files["content"], files["style"], "-o", "out.png", "--size", 16, *where)
    assert (done.returncode, done.stderr) == (0, "")


def test_embedded_server_that_cannot_start(
    run: Run, files: dict[str, Path], tmp_path: Path
) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    where = "--url", f"127.0.0.1:{port}", "--embedded", "--repository", tmp_path
    done = run(files["content"], files["style"], "-o", "out.png", *where)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no model repository in" in done.stderr
    assert "Traceback" not in done.stderr
