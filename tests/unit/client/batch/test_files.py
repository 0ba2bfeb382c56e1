"""The same calls on a local folder, in memory and on a file system that is not known."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from photoreal.client.batch.files import (
    is_file,
    is_folder,
    locate,
    names_in,
    read,
    remove,
    shown,
    write,
)
from photoreal.client.errors import InvalidInput
from photoreal.client.folder.run import DiskFailed


class OtherFiles(DirFileSystem):  # type: ignore[misc]
    """A file system with folders that is not the local one."""

    protocol = "other"

    def __init__(self, **options: Any) -> None:
        super().__init__(path="/", fs=LocalFileSystem(), **options)


fsspec.register_implementation("other", OtherFiles, clobber=True)


@pytest.fixture(
    params=[
        "path",
        "file",
        "memory",
        pytest.param("other", marks=pytest.mark.skipif(os.name == "nt", reason="drive letters")),
    ]
)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet."""
    if request.param == "memory":
        return locate(f"memory://{uuid4().hex}/photos")
    return locate(
        {"path": "{}", "file": "file://{}", "other": "other://{}"}[request.param].format(
            (tmp_path / "photos").as_posix()
        )
    )


def test_files_come_back_by_their_names(folder: str) -> None:
    assert names_in(folder) == []
    assert not is_folder(folder)
    for name in ("b.png", "more/a.png", "b.png"):
        write(f"{folder}/{name}", name.encode())
    assert names_in(folder) == ["b.png", "more/a.png"]  # and nothing that was written aside
    assert is_folder(folder)
    assert is_file(f"{folder}/more/a.png")
    assert not is_file(f"{folder}/more")
    assert read(f"{folder}/more/a.png", "content") == b"more/a.png"
    remove(f"{folder}/b.png")
    remove(f"{folder}/b.png")
    assert names_in(folder) == ["more/a.png"]


def test_what_is_missing_is_named(folder: str) -> None:
    with pytest.raises(InvalidInput, match=r"none\.png' does not exist\.$"):
        read(f"{folder}/none.png", "content")


@pytest.mark.parametrize("protocol", ["file", "other"])
def test_nothing_is_left_of_a_file_that_could_not_be_renamed(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*names: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(OtherFiles, "mv", full)
    with pytest.raises(DiskFailed, match=r"a\.png' cannot be written: No space left on device\.$"):
        write(f"{protocol}://{tmp_path.as_posix()}/a.png", b"1")
    assert list(tmp_path.iterdir()) == []


def test_object_stores_get_a_single_put(monkeypatch: pytest.MonkeyPatch) -> None:
    store = fsspec.filesystem("memory")
    calls: list[str] = []

    def noting(name: str) -> Callable[..., None]:
        return lambda *paths, **options: calls.append(f"{name} {paths[0]}")

    for name in ("pipe_file", "mv", "makedirs", "open"):
        monkeypatch.setattr(store, name, noting(name))
    write("memory:///bucket/more/a.png", b"1")
    assert calls == ["pipe_file /bucket/more/a.png"]


def test_local_addresses_are_absolute_and_shown_as_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("photos/") == (tmp_path / "photos").as_uri()
    assert shown(locate("photos")) == (tmp_path / "photos").as_posix()
    assert shown("s3://bucket/a") == "s3://bucket/a"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nowhere://photos", "cannot be opened: Protocol not known: nowhere."),
        ("zip://a::memory://b", "is a chain"),
    ],
)
def test_addresses_that_nothing_opens(address: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        locate(address)


def test_store_that_fails_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCredentials(Exception):
        """As from a library of a store, whose errors are no OSError."""

    def fail(*names: object, **options: object) -> None:
        raise NoCredentials("Unable to locate credentials\nmore")

    store = fsspec.filesystem("memory")
    for name in ("find", "isdir", "cat_file"):
        monkeypatch.setattr(store, name, fail)
    for call in (names_in, is_folder, lambda address: read(address, "content")):
        with pytest.raises(InvalidInput, match=r"cannot be read: Unable to locate credentials\.$"):
            call("memory:///bucket")
