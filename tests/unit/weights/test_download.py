"""Downloads: checked, remembered and never left half done."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from photoreal.errors import WeightsError
from photoreal.weights import manifest
from photoreal.weights.download import cache_folder, fetch
from photoreal.weights.manifest import WeightFile, WeightSet
from tests.reference_cases import published_shapes
from tests.shared import refused

CONTENT = {"one.pth": b"the first file", "two.pth": b"the second file"}
VARIABLES = ("PHOTOREAL_CACHE", "XDG_CACHE_HOME", "HOME")


def _set(*files: WeightFile) -> WeightSet:
    return WeightSet("local", files, source="a test", licence="none", preprocessing="none")


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def weights(published: Path) -> WeightSet:
    return _set(*(WeightFile(name, (published / name).as_uri()) for name in CONTENT))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def answer_once() -> Iterator[Callable[[bytes], str]]:
    """Makes an HTTP address that answers one request with fixed bytes and hangs up."""
    with ExitStack() as stack:

        def serve(reply: bytes) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def run() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            return f"http://127.0.0.1:{listener.getsockname()[1]}/file.pth"

        yield serve


def test_files_are_downloaded_once_and_their_sums_recorded(
    weights: WeightSet, published: Path, cache: Path
) -> None:
    folder = fetch(weights, cache, progress=False)
    assert folder == cache / "local"
    for name, content in CONTENT.items():
        assert (folder / name).read_bytes() == content
        recorded = (folder / f"{name}.sha256").read_text().strip()
        assert recorded == hashlib.sha256(content).hexdigest()
        (published / name).unlink()
    assert len(list(folder.iterdir())) == 2 * len(CONTENT)
    assert fetch(weights, cache) == folder
    (folder / "two.pth").write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"two\.pth has the sha256 .*expected .*delete"):
        fetch(weights, cache)


def test_a_known_sum_is_checked_at_the_first_download(published: Path, cache: Path) -> None:
    file = published / "one.pth"
    for content in (b"", CONTENT["one.pth"]):
        known = _set(WeightFile("one.pth", file.as_uri(), hashlib.sha256(content).hexdigest()))
        if content:
            fetch(known, cache, progress=False)
        else:
            with pytest.raises(WeightsError, match="has the sha256"):
                fetch(known, cache, progress=False)


def test_a_failing_download_leaves_nothing(published: Path, cache: Path) -> None:
    missing = WeightFile("three.pth", (published / "three.pth").as_uri())
    with pytest.raises(WeightsError, match=r"three\.pth could not be downloaded .*manually"):
        fetch(_set(missing), cache, progress=False)
    assert list((cache / "local").iterdir()) == []


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.0 404 Not Found\r\n\r\n", id="not found"),
        pytest.param(b"", id="hangs up"),
        pytest.param(b"no HTTP at all\r\n\r\n", id="garbage"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n" + bytes(400), id="cut off"),
    ],
)
def test_a_server_that_fails_leaves_nothing(
    reply: bytes, answer_once: Callable[[bytes], str], cache: Path
) -> None:
    weights = _set(WeightFile("file.pth", answer_once(reply)))
    with pytest.raises(WeightsError, match=r"file\.pth could not be downloaded"):
        fetch(weights, cache, progress=False)
    assert list((cache / "local").iterdir()) == []


def test_the_cache_is_where_the_environment_says(
    weights: WeightSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "own", tmp_path / "xdg" / "photoreal", tmp_path / ".cache" / "photoreal"]
    for variable, value in zip(VARIABLES, ("own", "xdg", ""), strict=True):
        monkeypatch.setenv(variable, str(tmp_path / value))
    assert fetch(weights, progress=False) == folders[0] / "local"
    for variable, folder in zip(VARIABLES, folders, strict=True):
        assert cache_folder() == folder
        monkeypatch.delenv(variable)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for an unknown user id
    with refused(WeightsError, r"no home folder .* set PHOTOREAL_CACHE"):
        cache_folder()


def test_published_sets_name_the_published_files() -> None:
    sets = (manifest.WCT2, manifest.ADE20K)
    assert sorted(file.name for one in sets for file in one.files) == sorted(published_shapes())
    for weights in sets:
        assert all(file.url.endswith(f"/{file.name}") for file in weights.files)
        assert weights.licence
        assert weights.source


def test_a_cache_that_cannot_be_made(
    weights: WeightSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError):
        fetch(weights, tmp_path / "file", progress=False)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/dev/null/home")
    with pytest.raises(WeightsError, match=r"cannot be created .* set PHOTOREAL_CACHE"):
        fetch(weights)


def test_files_in_a_folder_that_cannot_be_written_to_are_used(
    weights: WeightSet, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the disk itself refuses."""
    folder = fetch(weights, cache)
    for record in folder.glob("*.sha256"):
        record.unlink()

    def refuse(path: Path, text: str) -> int:
        raise OSError("Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert fetch(weights, cache) == folder
    assert not list(folder.glob("*.sha256"))
