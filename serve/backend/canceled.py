"""Keys of canceled requests, shared by all processes of a server.

Triton reports cancellation to the model that received the request, but not to the models that it
calls, and it does not detect a closed HTTP connection. So each request has a key, and a canceled
request is marked by an empty file with that name in a folder that the server's processes share.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from photoreal.cancel_key import is_key
from photoreal.errors import InvalidOption, ServeError

CANCELED_VARIABLE = "PHOTOREAL_CANCELED_FOLDER"
"""Environment variable with the folder of the keys, which the launcher sets for its models."""

_FORGET_S = 3600.0
_MOST_KEYS = 1000


class CanceledKeys:
    """Keys of canceled requests, shared by the model processes of one server.

    Only this user may access the folder. `photoreal serve` puts it inside its temporary folder,
    which is removed however the server ends. Under another launcher, the folder is named after the
    server's process, the parent of every model process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        named = os.environ.get(CANCELED_VARIABLE)
        default = f"photoreal-{os.getuid()}-{os.getppid()}"
        self._folder = folder or Path(named or Path(tempfile.gettempdir()) / default)

    def add(self, key: str) -> None:
        """Mark a request as canceled; raises InvalidOption for a malformed key, ServeError."""
        if not is_key(key):
            raise InvalidOption("The key is malformed; expected 32 lower-case hexadecimal digits.")
        self._open_folder()
        self._forget()
        (self._folder / key).touch(mode=0o600)

    def __contains__(self, key: str) -> bool:
        return (self._folder / key).exists()

    def remove(self, key: str) -> None:
        """Remove the key of a request that has ended."""
        (self._folder / key).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder."""
        with suppress(OSError):
            for file in self._folder.iterdir():
                file.unlink(missing_ok=True)
            self._folder.rmdir()

    def _open_folder(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found = self._folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ServeError(
                "The folder for canceled requests belongs to another user or is accessible to"
                " others."
            )

    def _forget(self) -> None:
        """Remove old and surplus keys, whose requests had already ended or never existed."""
        times = {}
        for file in self._folder.iterdir():
            with suppress(FileNotFoundError):
                times[file] = file.stat().st_mtime
        oldest = time.time() - _FORGET_S
        for number, file in enumerate(sorted(times, key=lambda file: -times[file])):
            if number >= _MOST_KEYS or times[file] < oldest:
                file.unlink(missing_ok=True)
