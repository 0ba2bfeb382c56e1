"""Downloads: checked, remembered and never left half done."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from photoreal.errors import WeightsError
from photoreal.weights import manifest
from photoreal.weights.download import cache_folder, fetch
from photoreal.weights.manifest import WeightFile, WeightSet

CONTENT = {"one.pth": b"the first file", "two.pth": b"the second file"}


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
    threads: list[threading.Thread] = []
    listeners: list[socket.socket] = []

    def serve(reply: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)
        listeners.append(listener)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/file.pth"

    yield serve
    for thread in threads:
        thread.join(5)
    for listener in listeners:
        listener.close()


def test_first_download_records_the_sums(weights: WeightSet, cache: Path) -> None:
    folder = fetch(weights, cache, progress=False)
    assert folder == cache / "local"
    for name, content in CONTENT.items():
        assert (folder / name).read_bytes() == content
        recorded = (folder / f"{name}.sha256").read_text().strip()
        assert recorded == hashlib.sha256(content).hexdigest()
    assert len(list(folder.iterdir())) == 2 * len(CONTENT)


def test_files_that_are_there_are_not_downloaded_again(
    weights: WeightSet, published: Path, cache: Path
) -> None:
    fetch(weights, cache, progress=False)
    for file in published.iterdir():
        file.unlink()
    assert (fetch(weights, cache) / "one.pth").read_bytes() == CONTENT["one.pth"]


def test_a_file_that_changed_after_its_download_is_refused(weights: WeightSet, cache: Path) -> None:
    changed = fetch(weights, cache, progress=False) / "two.pth"
    changed.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=r"two\.pth has the sha256 .*expected .*delete"):
        fetch(weights, cache)


@pytest.mark.parametrize("right", [True, False])
def test_a_known_sum_is_checked_at_the_first_download(
    right: bool, published: Path, cache: Path
) -> None:
    known = hashlib.sha256(CONTENT["one.pth"] if right else b"").hexdigest()
    weights = _set(WeightFile("one.pth", (published / "one.pth").as_uri(), known))
    if right:
        fetch(weights, cache, progress=False)
    else:
        with pytest.raises(WeightsError, match="has the sha256"):
            fetch(weights, cache, progress=False)


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


def test_a_cache_that_cannot_be_made_is_an_error_of_the_weights(
    weights: WeightSet, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WeightsError):
        fetch(weights, tmp_path / "file", progress=False)


def test_the_cache_is_where_the_environment_says(
    weights: WeightSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOTOREAL_CACHE", str(tmp_path / "chosen"))
    assert fetch(weights, progress=False) == tmp_path / "chosen" / "local"
    monkeypatch.delenv("PHOTOREAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "photoreal"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "photoreal"


def test_published_sets_name_the_published_files(
    published_shapes: dict[str, dict[str, list[int]]],
) -> None:
    named = [file.name for weights in (manifest.WCT2, manifest.ADE20K) for file in weights.files]
    assert sorted(named) == sorted(published_shapes)
    for weights in (manifest.WCT2, manifest.ADE20K):
        assert all(file.url.endswith(f"/{file.name}") for file in weights.files)
        assert weights.licence
        assert weights.source


def test_a_user_without_a_home_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch, check_sentence: Callable[[object], None]
) -> None:
    for variable in ("PHOTOREAL_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for an unknown user id
    with pytest.raises(WeightsError, match=r"no home folder .* set PHOTOREAL_CACHE") as caught:
        cache_folder()
    check_sentence(caught.value)


def test_a_home_that_cannot_be_written_to(
    weights: WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PHOTOREAL_CACHE", "XDG_CACHE_HOME"):
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
