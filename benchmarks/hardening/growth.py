"""Memory growth of a server."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from PIL import Image
from speed.memory import proportional_bytes, session_processes, shared_bytes

from hardening import seeds
from photoreal.client import StyleTransferClient
from photoreal.preprocess import Limits
from photoreal.serve.launch.launcher import Server

ALLOWED = 0.05
"""Allowed growth of a server's memory, as a share, once it has served every kind of request."""

_MARGIN_S = 2.0
_FILL_S = 300.0
_SMALL = 16
_MB = 1e6


@dataclass(frozen=True)
class Memory:
    """Memory of all processes of a server, and of its files in shared memory, in bytes."""

    processes: int
    shared: int


def measure(server: Server) -> Memory:
    """Measure the memory of a server now."""
    return Memory(
        proportional_bytes(session_processes(server.pid)),
        shared_bytes(server.settings.shm_prefix),
    )


def measure_at_rest(server: Server) -> Memory:
    """Measure the memory of a server after it was idle long enough to release what it keeps."""
    time.sleep(server.settings.keep_memory_s + _MARGIN_S)
    return measure(server)


def fill(server: Server) -> None:
    """Send the largest photo that is allowed.

    Triton's shared memory grows with the largest request and keeps that size, which would later
    look like a leak.
    """
    side = math.isqrt(Limits().max_working_pixels)
    photo, style = (seeds.encode(Image.new("RGB", (one, one)), "PNG") for one in (side, _SMALL))
    with StyleTransferClient(server.http_url, timeout=_FILL_S) as client:
        client.stylize(photo, style, size=side, transfer_at="encoder", segment=False)


def compare(before: Memory, after: Memory) -> str:
    """Describe both measurements."""
    return (
        f"processes {before.processes / _MB:.0f} to {after.processes / _MB:.0f} MB"
        f" ({_share(before.processes, after.processes):+.1%}),"
        f" shared memory {before.shared / _MB:.1f} to {after.shared / _MB:.1f} MB"
        f" ({_share(before.shared, after.shared):+.1%})"
    )


def complaints(before: Memory, after: Memory) -> list[str]:
    """List what has grown by more than `ALLOWED`."""
    grown = {
        "processes": _share(before.processes, after.processes),
        "shared memory": _share(before.shared, after.shared),
    }
    return [f"{name} grew by {share:.1%}" for name, share in grown.items() if share > ALLOWED]


def _share(before: int, after: int) -> float:
    return after / before - 1 if before else float(after > 0)
