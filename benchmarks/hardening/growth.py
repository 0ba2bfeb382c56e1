"""Whether a server's memory stays what it was."""

from __future__ import annotations

from dataclasses import dataclass

from memory import proportional_bytes, session_processes, shared_bytes

from photoreal.serve.launcher import Server

ALLOWED = 0.05
"""Share by which the memory of a server may grow once it has served every kind of request."""

_MB = 1e6


@dataclass(frozen=True)
class Memory:
    """Bytes of a server's processes together, and of its files in shared memory."""

    processes: int
    shared: int


def measure(server: Server) -> Memory:
    """Memory of a server now."""
    return Memory(
        proportional_bytes(session_processes(server.pid)),
        shared_bytes(server.settings.shm_prefix),
    )


def compare(before: Memory, after: Memory) -> str:
    """Both in words."""
    return (
        f"processes {before.processes / _MB:.0f} to {after.processes / _MB:.0f} MB"
        f" ({_share(before.processes, after.processes):+.1%}),"
        f" shared memory {before.shared / _MB:.1f} to {after.shared / _MB:.1f} MB"
        f" ({_share(before.shared, after.shared):+.1%})"
    )


def complaints(before: Memory, after: Memory) -> list[str]:
    """What has grown beyond what is allowed."""
    grown = {
        "processes": _share(before.processes, after.processes),
        "shared memory": _share(before.shared, after.shared),
    }
    return [f"{name} grew by {share:.1%}" for name, share in grown.items() if share > ALLOWED]


def _share(before: int, after: int) -> float:
    return after / before - 1 if before else float(after > 0)
