"""`photoreal stylize`, for one photo and for a folder, as its user calls it."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import PROGRAM, check_refusal, photoreal, server_of
from tests.kinds import PairFiles, Stylize
from tests.shared import wait_until

pytestmark = pytest.mark.server

MANIFEST = "photoreal-finished.jsonl"


@pytest.fixture(scope="module")
def files(pair: PairFiles) -> dict[str, Path]:
    return pair("pagoda-dusk")


@pytest.fixture(scope="module")
def photos(files: dict[str, Path]) -> tuple[object, ...]:
    return "stylize", files["content"], files["style"], "-o", "out.png"


@pytest.fixture
def nowhere() -> str:
    (port,) = free_ports("127.0.0.1", 1)
    return f"127.0.0.1:{port}"


def test_both_protocols_write_the_picture_and_the_labels(
    local: Server, files: dict[str, Path], tmp_path: Path, stylize: Stylize
) -> None:
    wanted = stylize(local, **files, size=48, output_size=48, format="png")
    file = wanted.save(tmp_path / "wanted.png")
    masks = "--content-mask", files["content_mask"], "--style-mask", files["style_mask"]
    call = "stylize", files["content"], files["style"], *masks, "--size", 48, "--output-size", 48
    for protocol, url in (("http", local.http_url), ("grpc", f"grpc://{local.grpc_url}")):
        where = "--url", url, "--protocol", protocol, "-o", f"{protocol}.png"
        done = photoreal(tmp_path, *call, *where, "--save-labels", f"{protocol}/labels")
        assert (done.returncode, done.stderr) == (0, "")
        assert "72 x 48 pixels, regions from the masks (5 matched" in done.stdout
        assert (tmp_path / f"{protocol}.png").read_bytes() == file.read_bytes()
        labels = tmp_path / protocol / "labels"
        assert {file.name for file in labels.iterdir()} == {
            f"{role}_{kind}.png" for role in ("content", "style") for kind in ("labels", "regions")
        }
        assert (labels / "content_labels.png").read_bytes() == wanted.content_labels_png
        assert (labels / "style_labels.png").read_bytes() == wanted.style_labels_png


def test_saved_labels_serve_as_masks(local: Server, pair: PairFiles, tmp_path: Path) -> None:
    """As the command's own help shows it."""
    files = pair("lake-dusk")
    # This way around the style has every class that the test's segmenter finds in the content.
    how = "--url", local.http_url, "--size", 64, "--method", "published"
    common = "stylize", files["style"], files["content"], *how
    first = photoreal(tmp_path, *common, "-o", "first.png", "--save-labels", "regions")
    assert first.returncode == 0, first.stderr
    assert "regions from the segmenter" in first.stdout
    masks = "--content-mask=regions/content_labels.png", "--style-mask=regions/style_labels.png"
    more = "-o", "again.png", "--match", "nearest", "--quiet"
    again = photoreal(tmp_path, *common, *masks, *more)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "first.png").read_bytes()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_no_server(photos: tuple[object, ...], tmp_path: Path, nowhere: str, protocol: str) -> None:
    done = photoreal(tmp_path, *photos, "--url", nowhere, "--protocol", protocol)
    check_refusal(done, 1, nowhere, tmp_path)
    assert "--embedded" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--alpha", 1.5), "alpha is 1.5"),  # refused by the server
        (("--style-mask", "missing.png"), "missing.png"),  # by the client
        (("--match", "closest"), "--match"),  # by the command line
    ],
)
def test_call_that_has_to_be_changed(
    local: Server,
    photos: tuple[object, ...],
    tmp_path: Path,
    options: tuple[object, ...],
    words: str,
) -> None:
    done = photoreal(tmp_path, *photos, "--url", local.http_url, *options)
    check_refusal(done, 2, words, tmp_path)


def test_embedded_server(
    local: Server,
    files: dict[str, Path],
    photos: tuple[object, ...],
    tmp_path: Path,
    bare_repository: Path,
    nowhere: str,
) -> None:
    """On a repository without a segmenter, which takes photos whole."""
    (tmp_path / "empty").mkdir()
    there = "--embedded", "--repository", tmp_path / "empty"
    done = photoreal(tmp_path, *photos, "--url", nowhere, *there)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no model repository in" in done.stderr
    assert "Traceback" not in done.stderr
    # Where a server is ready none is started.
    done = photoreal(tmp_path, *photos, "--url", local.http_url, "--size", 16, *there)
    assert (done.returncode, done.stderr) == (0, "")

    where = "--url", nowhere, "--embedded", "--repository", bare_repository
    call = "stylize", files["content"], files["style"], "-o", "out.jpg", "--output-size", 32
    with subprocess.Popen(
        [PROGRAM, *map(str, call), *map(str, where)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        _, prefix = server_of(running)
        printed, errors = running.communicate(timeout=300)
    assert (running.returncode, errors) == (0, "")
    assert "48 x 32 pixels, the whole photo as one region" in printed
    with Image.open(tmp_path / "out.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (48, 32))
    assert not list(Path("/dev/shm").glob(f"{prefix}*"))  # noqa: S108


# --- a folder ------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, Path]) -> Path:
    """Three photos, a damaged one, and another file."""
    contents = tmp_path / "in"
    contents.mkdir()
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


def _call(url: str, *options: object) -> list[object]:
    call = ["stylize", "--content-dir", "in", "--style", "style.jpg", "-o", "out"]
    return [*call, "--url", url, "--size", "32", "--no-segment", *options]


def test_folder_from_end_to_end(local: Server, folder: Path) -> None:
    out, call = folder.parent / "out", _call(local.http_url)
    done = photoreal(folder.parent, *call)
    assert done.returncode == 1
    assert "damaged.jpg" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == "out: 4 photos, 3 done, 1 failed. Ignored 1 other file.\n"
    names = {"plain.png", "third.webp", "turned.jpg"}
    assert {path.name for path in out.iterdir()} == names | {MANIFEST}
    for name in names:
        with Image.open(out / name) as picture:
            assert picture.size == (96, 64)
            exif = picture.getexif()
        if name == "turned.jpg":
            assert exif[ExifTags.Base.Make] == "Camera"
            assert ExifTags.Base.Orientation not in exif
            assert exif.get_ifd(ExifTags.IFD.GPSInfo)[2] == (48.0, 51.0, 30.0)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (folder / "damaged.jpg").unlink()
    again = photoreal(folder.parent, *call)
    assert (again.returncode, again.stderr) == (0, "")
    assert "3 photos, 0 done, 3 already finished" in again.stdout
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Lets Ctrl-C reach programs of a test: a shell's background jobs begin with it ignored."""
    before: Any = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupted_folder_goes_on(local: Server, folder: Path) -> None:
    (folder / "damaged.jpg").unlink()
    with Image.open(folder / "plain.png") as photo:
        for number in range(15):
            photo.save(folder / f"more{number}.png")
    out = folder.parent / "out"
    call = [str(PROGRAM), *map(str, _call(local.http_url, "--in-flight", 1))]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(call, cwd=folder.parent, **pipes)
    wait_until((out / MANIFEST).exists)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "not started; repeat the command to continue" in stdout
    assert "Traceback" not in stderr
    finished = {path.name for path in out.iterdir()} - {MANIFEST}
    assert 0 < len(finished) < 18
    for name in finished:
        with Image.open(out / name) as picture:
            picture.load()
    done = photoreal(folder.parent, *_call(local.http_url))
    assert done.returncode == 0, done.stderr
    assert f"{18 - len(finished)} done, {len(finished)} already finished" in done.stdout


def test_folder_without_and_with_an_embedded_server(
    folder: Path, bare_repository: Path, nowhere: str
) -> None:
    (folder / "damaged.jpg").unlink()
    done = photoreal(folder.parent, *_call(nowhere))
    assert done.returncode == 1
    assert nowhere in done.stderr
    assert "3 not started; repeat the command to continue" in done.stdout
    call = _call(nowhere, "--embedded", "--repository", bare_repository)
    done = photoreal(folder.parent, *call)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 photos, 3 done." in done.stdout
