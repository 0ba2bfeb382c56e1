"""What a folder run has finished, kept beside the pictures so that it can go on later.

The file has a JSON object a line, written when a picture is in place. A later line about the same
picture counts, and a line that was cut off does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "photoreal-finished.jsonl"


class Manifest:
    """The finished pictures of an output folder.

    Raises:
        OSError: the file is there and cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / NAME
        self._entries: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
                self._take(line)

    def is_finished(self, output: Path, recipe: Mapping[str, Any]) -> bool:
        """Whether a picture is there as it was written, made by this recipe."""
        entry = self._entries.get(output.name)
        if entry is None or entry["recipe"] != recipe:
            return False
        try:
            return bool(output.stat().st_size == entry["bytes"])
        except OSError:
            return False

    def add(self, output: Path, recipe: Mapping[str, Any]) -> None:
        """Note that a picture is in place.

        Raises:
            OSError: the file cannot be written.
        """
        entry = {"output": output.name, "bytes": output.stat().st_size, "recipe": recipe}
        line = json.dumps(entry, sort_keys=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n" if self._ends_whole() else f"\n{line}\n")
        self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self._entries[entry["output"]] = {"bytes": entry["bytes"], "recipe": entry["recipe"]}
        except (ValueError, KeyError, TypeError):
            pass  # cut off, or not ours

    def _ends_whole(self) -> bool:
        """Whether the file ends with a line's end; a full disk or a kill may have cut it."""
        try:
            with self._file.open("rb") as file:
                file.seek(-1, 2)
                return file.read() == b"\n"
        except OSError:  # not there, or empty
            return True


def fingerprint(path: Path) -> dict[str, Any]:
    """Name, size and time of a file: what tells that it has changed.

    Raises:
        OSError: it is not there.
    """
    found = path.stat()
    return {"name": path.name, "bytes": found.st_size, "modified_ns": found.st_mtime_ns}
