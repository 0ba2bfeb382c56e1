"""The server's temporary folder: plain paths to what Triton's Python backend has to find.

It starts the models' processes through a shell and without quotes: a space in the path of the model
repository or of the backends ends each before it begins, and the server never gets ready. Their
Python reads paths as ASCII: from others, PyTorch cannot be imported, and `.pth` files with others
end it. So all that is laid out in a folder whose path is plain, with links to where it really is.
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
_USUAL = ("/tmp", "/var/tmp")  # noqa: S108 (a folder of a random name is made there)


def plain_folder(usual: Sequence[str] = _USUAL) -> Path:
    """Where to make the server's folder: the temporary folder, or a usual one with a plain path.

    Raises ServeError when there is none that can be written to.
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
    """The folder of this Python's programs, by which the models' processes find its packages.

    Where they could not read a path of this virtual environment, it is one in `folder` of links to
    the same packages.
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
