"""Time of a default request and peak memory of the server's processes, by photo size."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from pictures import large_files
from scipy.stats import linregress
from serving import timed_request
from tables import Cell, Column, Part, Spread

from photoreal.serve.launch.launcher import Server

INTERVAL_S = 0.1
MEGAPIXELS = (0.1, 0.5, 2.0, 8.0, 24.0)

_MB = 1e6
_COLUMNS = {
    "megapixels": Column("megapixels", 1),
    "seconds": Column("s", 2),
    "fit_s": Column("line s", 2),
    "peak_mb": Column("peak MB", 0),
    "fit_mb": Column("line MB", 0),
}


def measure_growth(server: Server, megapixels: Sequence[float], repeats: int) -> Part:
    """Measure default requests of each size, smallest first, on a server that is new.

    Content and style have the same number of pixels; every style is a new one.
    """
    sizes = sorted(megapixels)
    processes = session_processes(server.pid)
    idle = proportional_bytes(processes) / _MB
    timed_request(server, large_files(sizes[0]))
    seconds, peaks = [], []
    for size in sizes:
        files = large_files(size)
        with watched(processes) as figures:
            times = [timed_request(server, files.with_new_style())[0] for _ in range(repeats)]
        seconds.append(Spread.of(times))
        peaks.append(max(figures) / _MB)
    fit_s, time_line = _fit(sizes, [one.median for one in seconds], "s", 2)
    fit_mb, memory_line = _fit(sizes, peaks, "MB", 0)
    rows: list[dict[str, Cell]] = [
        dict(zip(_COLUMNS, row, strict=True))
        for row in zip(sizes, seconds, fit_s, peaks, fit_mb, strict=True)
    ]
    found = f"{time_line}; {memory_line}; {idle:.0f} MB before the first request."
    how = (
        f"Default requests over HTTP, {repeats} a size, JPEG photos with grain in and JPEG out;"
        " content and style of that size, the style new. Memory is the proportional set size (PSS)"
        f" of all of the server's processes, sampled every {INTERVAL_S} s."
    )
    return Part("Time and memory by size", _COLUMNS, rows, [found, how])


def _fit(
    sizes: Sequence[float], values: Sequence[float], unit: str, digits: int
) -> tuple[list[float], str]:
    """The values on a straight line fitted to them, and the line in words."""
    line = linregress(sizes, values)
    slope, start = (f"{one:.{digits}f} {unit}" for one in (line.slope, line.intercept))
    words = f"{slope} a megapixel and {start}, R^2 {line.rvalue**2:.3f}"
    return [float(line.slope * size + line.intercept) for size in sizes], words


def session_processes(session: int) -> set[int]:
    """Process ids of a session: a server leads its own, which includes its models' processes."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it has just ended
            ours = os.getsid(process.pid) == session
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
    return found


def proportional_bytes(processes: Collection[int]) -> int:
    """Memory of processes in bytes, with shared pages counted once."""
    total = 0
    for pid in processes:
        with suppress(psutil.NoSuchProcess):  # it has just ended
            total += psutil.Process(pid).memory_full_info().pss
    return total


def shared_bytes(prefix: str) -> int:
    """Bytes allocated by shared memory files with a name prefix, without holes."""
    files = Path("/dev/shm").glob(f"{prefix}*")  # noqa: S108 (where it is, on every Linux)
    return sum(512 * file.stat().st_blocks for file in files)


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
