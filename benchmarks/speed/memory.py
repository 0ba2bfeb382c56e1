"""Peak memory of a server's processes during one request, by picture size."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from math import sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from serving import Files, timed_request
from tables import Cell, Column, Part

from photoreal.serve.launch.launcher import Server

INTERVAL_S = 0.1
MEGAPIXELS = (0.1, 0.5, 1.5, 4.0)

_ASPECT = 1.5  # of the example photos
_MB = 1e6

_COLUMNS = {
    "megapixels": Column("megapixels", 2),
    "peak_mb": Column("peak MB", 0),
    "fit_mb": Column("line MB", 0),
    "seconds": Column("s", 1),
}


class Line(NamedTuple):
    """A fitted line, and the share of the variance that it explains."""

    slope: float
    offset: float
    r_squared: float

    def at(self, x: float) -> float:
        """The line's value at `x`."""
        return self.slope * x + self.offset


def fit_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """Fit a line by least squares; raises ValueError for fewer than two different x."""
    if len(set(x)) < 2:
        raise ValueError("A line needs points at two places at least.")
    slope, offset = np.polyfit(np.asarray(x), np.asarray(y), 1).tolist()
    values = np.asarray(y)
    rest = float(((values - (slope * np.asarray(x) + offset)) ** 2).sum())
    total = float(((values - values.mean()) ** 2).sum())
    return Line(slope, offset, 1.0 - rest / total if total else 1.0)


def measure_memory(server: Server, files: Files, megapixels: Sequence[float]) -> Part:
    """Measure one request per size, smallest first, on a server that has served nothing larger.

    Content and style have about the same number of pixels.
    """
    processes = session_processes(server.pid)
    idle = proportional_bytes(processes) / _MB
    rows: list[dict[str, Cell]] = []
    sizes: list[float] = []
    peaks: list[float] = []
    for wanted in sorted(megapixels):
        with watched(processes) as figures:
            seconds, result = timed_request(server, files, round(sqrt(wanted * 1e6 / _ASPECT)))
        sizes.append(result.report["width"] * result.report["height"] / 1e6)
        peaks.append(max(figures) / _MB)
        rows.append(
            {
                "megapixels": sizes[-1],
                "peak_mb": peaks[-1],
                "seconds": seconds,
                "samples": len(figures),
            }
        )
    line = fit_line(sizes, peaks)
    for row, size in zip(rows, sizes, strict=True):
        row |= {"fit_mb": line.at(size), "slope": line.slope, "offset": line.offset}
    found = (
        f"{line.slope:.0f} MB a megapixel and {line.offset:.0f} MB, R^2 {line.r_squared:.4f};"
        f" {idle:.0f} MB before the first request."
    )
    how = (
        "Proportional set size (PSS) of all of the server's processes, sampled every"
        f" {INTERVAL_S} s; content and style of about the same size, one request a size."
    )
    return Part("Memory", _COLUMNS, rows, [found, how])


def session_processes(session: int) -> set[int]:
    """Process ids of a session: a server leads its own, which includes its models' processes."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def proportional_bytes(processes: Collection[int]) -> int:
    """Memory of processes in bytes, with shared pages counted once."""
    return sum(map(_pss, processes))


def shared_bytes(prefix: str) -> int:
    """Bytes allocated by shared memory files with a name prefix, without holes."""
    files = Path("/dev/shm").glob(f"{prefix}*")  # noqa: S108 (where it is, on every Linux)
    return sum(512 * file.stat().st_blocks for file in files)


def _pss(pid: int) -> int:
    try:
        return parse_pss(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0


def parse_pss(rollup: str) -> int:
    """Parse the proportional set size in bytes from the text of a ``smaps_rollup``."""
    lines = (line.split() for line in rollup.splitlines() if line.startswith("Pss:"))
    return sum(int(fields[1]) for fields in lines) * 1024


@contextmanager
def watched(processes: Collection[int]) -> Iterator[list[int]]:
    """Sample the memory of processes in bytes for the duration of the context."""
    figures = [proportional_bytes(processes)]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL_S):
            figures.append(proportional_bytes(processes))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield figures
    finally:
        done.set()
        thread.join()
