"""Manifest of finished pictures, kept in the output folder so that a run can be resumed.

The file has one JSON object per line, appended when a picture is complete. The last line about a
picture counts; truncated lines are ignored.
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
        OSError: the file exists but cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / NAME
        self._entries: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read_line(line)

    def is_finished(self, output: Path, recipe: Mapping[str, Any]) -> bool:
        """Whether the picture exists with its recorded size and was made from this recipe."""
        entry = self._entries.get(output.name)
        if entry is None or entry["recipe"] != recipe:
            return False
        try:
            return bool(output.stat().st_size == entry["bytes"])
        except OSError:
            return False

    def add(self, output: Path, recipe: Mapping[str, Any]) -> None:
        """Record a finished picture.

        Raises:
            OSError: the file cannot be written.
        """
        entry = {"output": output.name, "bytes": output.stat().st_size, "recipe": recipe}
        line = json.dumps(entry, sort_keys=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n" if self._ends_whole() else f"\n{line}\n")
        self._read_line(line)

    def _read_line(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self._entries[entry["output"]] = {"bytes": entry["bytes"], "recipe": entry["recipe"]}
        except (ValueError, KeyError, TypeError):
            pass  # truncated, or written by another program

    def _ends_whole(self) -> bool:
        """Whether the file ends with a newline; a full disk or a kill may have truncated it."""
        try:
            with self._file.open("rb") as file:
                file.seek(-1, 2)
                return file.read() == b"\n"
        except OSError:  # missing, or empty
            return True


def fingerprint(path: Path) -> dict[str, Any]:
    """Name, size and modification time of a file, by which changes are detected.

    Raises:
        OSError: the file does not exist.
    """
    found = path.stat()
    return {"name": path.name, "bytes": found.st_size, "modified_ns": found.st_mtime_ns}
