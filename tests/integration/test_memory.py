"""What a request of the default size takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from photoreal.client import StylizeResult
from photoreal.serve.launcher import Server
from photoreal.serve.memory import estimate_bytes

pytestmark = pytest.mark.server

GIB = 2**30
INTERVAL_S = 0.1


def _proportional_bytes(processes: set[int]) -> int:
    """Memory of processes, pages that several share counted once between them."""
    total = 0
    for pid in processes:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


@contextmanager
def _watched(measure: Callable[[], int]) -> Iterator[list[int]]:
    """Measure again and again, from a thread, for as long as the context lasts."""
    figures = [measure()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(INTERVAL_S):
            figures.append(measure())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield figures
    finally:
        done.set()
        thread.join()


def test_memory_of_a_request_of_the_default_size(
    local: Server,
    stylize: Callable[..., StylizeResult],
    pair: Callable[[str], dict[str, Any]],
    session_processes: Callable[[int], set[int]],
    record_property: Callable[[str, object], None],
) -> None:
    processes = session_processes(local.pid)
    assert len(processes) == 5  # the server, and stylize, wct2, cancel and the segmenter
    with _watched(lambda: _proportional_bytes(processes)) as figures:
        result = stylize(local, **pair("pagoda-twilight"))
    assert result.image.size == (767, 512)
    assert len(figures) > 3
    measured = {
        "before_gib": round(figures[0] / GIB, 2),
        "peak_gib": round(max(figures) / GIB, 2),
        "after_gib": round(_proportional_bytes(processes) / GIB, 2),
        "seconds": result.report["seconds"],
    }
    for name, value in measured.items():
        record_property(name, value)
    print(measured)
    assert 0 < max(figures) < 4 * GIB
    sizes = {"content": (512, 767), "style": (512, 767)}
    assert max(figures) - figures[0] < estimate_bytes(sizes, 512)
