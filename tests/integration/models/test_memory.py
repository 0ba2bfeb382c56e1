"""What a request of the default size takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from speed.memory import proportional_bytes, watched

from photoreal.client import StylizeResult
from photoreal.options import DEFAULT_SIZE
from photoreal.pipeline.memory import estimate_bytes
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

GIB = 2**30


def test_memory_of_a_request_of_the_default_size(
    local: Server,
    stylize: Callable[..., StylizeResult],
    pair: Callable[[str], dict[str, Any]],
    session_processes: Callable[[int], set[int]],
    record_property: Callable[[str, object], None],
) -> None:
    processes = session_processes(local.pid)
    assert len(processes) == 5  # the server, and stylize, wct2, cancel and the segmenter
    with watched(processes) as figures:
        result = stylize(local, **pair("pagoda-twilight"))
    assert result.image.size == (640, 427)
    assert result.report["working_height"] == DEFAULT_SIZE
    assert len(figures) > 3
    measured = {
        "before_gib": round(figures[0] / GIB, 2),
        "peak_gib": round(max(figures) / GIB, 2),
        "after_gib": round(proportional_bytes(processes) / GIB, 2),
        "seconds": result.report["seconds"],
    }
    for name, value in measured.items():
        record_property(name, value)
    print(measured)
    assert 0 < max(figures) < 4 * GIB
    sizes = {"content": (427, 640), "style": (512, 768)}
    assert max(figures) - figures[0] < estimate_bytes(sizes, DEFAULT_SIZE)
