"""Files at local paths and at the addresses that fsspec opens, such as s3://bucket/photos."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from posixpath import dirname
from typing import Any

from photoreal.client._images import encode_image
from photoreal.client.errors import InvalidInput
from photoreal.client.folder.run import DiskFailed
from photoreal.client.result import write_aside

_SINGLE_PUT = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a", "tos"}
)
"""Protocols whose files appear whole or not at all, and whose folders need not be made."""
_LOCAL = "file://"


def locate(address: str) -> str:
    """Return the absolute address, with its protocol, of a path or an address.

    Raises:
        InvalidInput: the protocol is unknown, or needs a package that is not installed.
    """
    if "::" in address:
        raise InvalidInput(f"The address {address!r} is a chain (::); expected a single address.")
    with _in_words(address, "opened"):
        files, path = _opened(address)
        return str(files.unstrip_protocol(path)).rstrip("/")


def shown(address: str) -> str:
    """Return the address as messages show it: local files as paths."""
    return _local(address).as_posix() if address.startswith(_LOCAL) else address


def is_folder(address: str) -> bool:
    """Whether there is a folder; object stores have one where a file's name begins with it.

    Raises:
        InvalidInput: the store cannot be asked.
    """
    with _in_words(address, "read"):
        files, path = _opened(address)
        return bool(files.isdir(path))


def is_file(address: str) -> bool:
    """Whether there is a file.

    Raises:
        InvalidInput: the store cannot be asked.
    """
    with _in_words(address, "read"):
        files, path = _opened(address)
        return bool(files.isfile(path))


def names_in(folder: str) -> list[str]:
    """Names of the files in a folder and its subfolders, relative to it; empty without a folder.

    Raises:
        InvalidInput: the folder cannot be read.
    """
    with _in_words(folder, "read"):
        files, path = _opened(folder)
        try:
            found = files.find(path)
        except FileNotFoundError:
            return []
    root = path.rstrip("/") + "/"
    return sorted(name.removeprefix(root) for name in found if name.startswith(root))


def read(address: str, role: str) -> bytes:
    """Read a file; ``role`` is its name in error messages, such as "content".

    Raises:
        InvalidInput: the file is missing or cannot be read.
    """
    if address.startswith(_LOCAL):
        return encode_image(_local(address), role)
    with _in_words(address, "read"):
        files, path = _opened(address)
        return bytes(files.cat_file(path))


def write(address: str, data: bytes) -> None:
    """Write a file so that it appears whole or not at all; its folders are made.

    Local files, and those of other file systems, are written beside the name and renamed. Object
    stores get a single put.

    Raises:
        DiskFailed: the file cannot be written.
    """
    try:
        files, path = _opened(address)
        protocol = address.partition("://")[0]
        if protocol in _SINGLE_PUT:
            files.pipe_file(path, data)
            return
        files.makedirs(dirname(path), exist_ok=True)
        if protocol == "file":
            write_aside(_local(address), data)
        else:
            _write_aside(files, path, data)
    except Exception as error:
        raise DiskFailed(f"{shown(address)!r} cannot be written: {reason_of(error)}.") from error


def _write_aside(files: Any, path: str, data: bytes) -> None:
    aside = f"{dirname(path)}/.{path.rpartition('/')[2]}.{uuid.uuid4().hex[:8]}.part"
    try:
        files.pipe_file(aside, data)
        files.mv(aside, path)
    except Exception:
        with suppress(Exception):  # the first error says what is wrong
            files.rm_file(aside)
        raise


def remove(address: str) -> None:
    """Delete a file that may not be there.

    Raises:
        InvalidInput: the file cannot be deleted.
    """
    with _in_words(address, "deleted"):
        files, path = _opened(address)
        if files.exists(path):
            files.rm_file(path)


def _opened(address: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    files, path = url_to_fs(address)
    return files, str(path)


def _local(address: str) -> Path:
    return Path(_opened(address)[1])


@contextmanager
def _in_words(address: str, done: str) -> Iterator[None]:
    """Raise every error of a file system as InvalidInput: they have no common base class."""
    try:
        yield
    except InvalidInput:
        raise
    except FileNotFoundError:
        raise InvalidInput(f"{shown(address)!r} does not exist.") from None
    except Exception as error:
        raise InvalidInput(f"{shown(address)!r} cannot be {done}: {reason_of(error)}.") from error


def reason_of(error: BaseException) -> str:
    """Return one line that says what is wrong, without a period."""
    reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    return str(reason or type(error).__name__).rstrip(".")
