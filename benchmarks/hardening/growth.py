"""Memory growth of a server."""

from __future__ import annotations

import math
import time

from pictures import LIMITS, encoded
from PIL import Image
from speed.memory import proportional_bytes, session_processes, shared_bytes

from photoreal.client import StyleTransferClient
from photoreal.serve.launch.launcher import Server

ALLOWED = 0.05
"""Allowed growth of a server's memory, as a share, once it has served every kind of request."""

_MARGIN_S = 2.0

Memory = dict[str, int]
"""Bytes of a server's processes, and of its files in shared memory."""


def measure(server: Server, *, at_rest: bool = False) -> Memory:
    """Measure the memory of a server, now or once it was idle and released what it keeps."""
    if at_rest:
        time.sleep(server.settings.keep_memory_s + _MARGIN_S)
    return {
        "processes": proportional_bytes(session_processes(server.pid)),
        "shared memory": shared_bytes(server.settings.shm_prefix),
    }


def fill(server: Server) -> None:
    """Send the largest photo that is allowed.

    Triton's shared memory grows with the largest request and keeps that size, which would later
    look like a leak.
    """
    side = math.isqrt(LIMITS.max_working_pixels)
    photo, style = (encoded(Image.new("RGB", (one, one)), "PNG") for one in (side, 16))
    with StyleTransferClient(server.http_url, timeout=300) as client:
        client.stylize(photo, style, size=side, transfer_at="encoder", segment=False)


def compare(before: Memory, after: Memory) -> tuple[str, list[str]]:
    """Describe both measurements, and list what has grown by more than `ALLOWED`."""
    figures, complaints = [], []
    for name, first in before.items():
        share = after[name] / first - 1 if first else float(after[name] > 0)
        figures.append(f"{name} {first / 1e6:.1f} to {after[name] / 1e6:.1f} MB ({share:+.1%})")
        if share > ALLOWED:
            complaints.append(f"{name} grew by {share:.1%}")
    return ", ".join(figures), complaints
