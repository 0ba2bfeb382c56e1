"""Peak memory of a server's processes during one request, by picture size."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import sqrt
from pathlib import Path

import psutil
from pictures import Files
from scipy.stats import linregress
from serving import timed_request
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
        rows.append({"megapixels": sizes[-1], "peak_mb": peaks[-1], "seconds": seconds})
    line = linregress(sizes, peaks)
    for row, size in zip(rows, sizes, strict=True):
        row["fit_mb"] = float(line.slope * size + line.intercept)
    found = (
        f"{line.slope:.0f} MB a megapixel and {line.intercept:.0f} MB, R^2 {line.rvalue**2:.4f};"
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
