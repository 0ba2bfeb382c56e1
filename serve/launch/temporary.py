"""Temporary folder of the server: plain paths for what Triton's Python backend has to find.

The backend starts model processes through a shell, without quotes: with a space in the path of the
model repository or of the backends, they exit at once and the server never becomes ready. Their
Python reads paths as ASCII: with other characters in a path, PyTorch cannot be imported, and in a
`.pth` file they end the process. So everything is laid out as links in a folder with a plain path.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from photoreal.errors import ServeError

_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)
_USUAL = ("/tmp", "/var/tmp")  # noqa: S108 (a folder with a random name is created there)


def plain_folder(usual: Sequence[str] = _USUAL) -> Path:
    """Parent of the server's folder: the temporary folder, or a fallback with a plain path.

    Raises ServeError if no such folder is writable.
    """
    chosen = tempfile.gettempdir()
    for folder in (chosen, *usual):
        if _PLAIN.fullmatch(folder) and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder)
    raise ServeError(
        f"The temporary folder {chosen!r} cannot be used: Triton starts its models through a shell,"
        " without quotes. Set TMPDIR to a folder that can be written to, with a path of ASCII"
        " letters, digits, dots, dashes and underscores."
    )


def plain_programs(folder: Path) -> Path:
    """Folder of this Python's executables, by which the model processes find its packages.

    If they cannot read a path of this virtual environment, it is the folder of another one, made in
    `folder` from links to the same packages.
    """
    programs, packages = Path(sys.executable).parent, Path(sysconfig.get_path("purelib"))
    config = programs.parent / "pyvenv.cfg"
    paths = {file for file in packages.glob("*.pth") if not file.read_bytes().isascii()}
    if not config.exists() or (_PLAIN.fullmatch(str(packages)) and not paths):
        return programs
    plain = folder / "python"
    same = plain / packages.relative_to(programs.parent)
    same.mkdir(parents=True)
    (plain / config.name).symlink_to(config)
    (plain / programs.name).symlink_to(programs)
    for entry in set(packages.iterdir()) - paths:
        (same / entry.name).symlink_to(entry)
    return plain / programs.name
