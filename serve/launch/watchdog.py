"""Cleanup after a server whose owner was killed: orphaned processes and shared memory.

There are two safeguards. A watchdog process waits for the owner to exit and cleans up at once; it
is bound to the owner's process, not to the thread that started the server. If the watchdog was
killed too, the next start removes the shared memory, whose owner no longer holds its lock.

The watchdog runs this file by its path in a bare interpreter: standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
PREFIX = "photoreal_"
_LOCK = "owner"
_PROGRAMS = ("tritonserver", "triton_python_backend_stub")
_DONE = b"done\n"
_END_S = 5.0


class Watchdog:
    """Locks a server's shared memory as owned, and starts a watchdog over this process.

    Args:
        prefix: prefix of the names of the server's shared memory, unique to every server.
        folder: the server's temporary files, which the watchdog also removes.
    """

    def __init__(self, prefix: str, folder: Path) -> None:
        self._prefix = prefix
        self._lock = _try_lock(SHARED_MEMORY / f"{prefix}{_LOCK}", create=True)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={},  # it needs no variables, and must not get the keys
            start_new_session=True,  # Ctrl-C must not end it before the server has ended
        )
        task = {"owner": os.getpid(), "prefix": prefix, "folder": str(folder)}
        self._send(json.dumps(task).encode() + b"\n")

    def release(self) -> None:
        """Dismiss the watchdog after an orderly stop, and remove the remaining shared memory."""
        self._send(_DONE)
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._watchdog.wait()
        remove_regions(self._prefix)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._watchdog.stdin is not None  # noqa: S101 (for the type checker)
        return self._watchdog.stdin

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # the watchdog was killed
            self._pipe.write(line)
            self._pipe.flush()


def processes_of(prefix: str) -> dict[int, str]:
    """Live processes of the server whose shared memory has this prefix: program by process id.

    The random prefix is in the command lines of its processes only.
    """
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has just exited, or is another user's
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                program = Path(arguments[0]).name
                if program in _PROGRAMS and any(prefix in one for one in arguments[1:]):
                    found[int(folder.name)] = program
    return found


def has_dead_models(server: int) -> bool:
    """Whether model processes have died that tritonserver has not reaped.

    Such a model can delay the server's exit until the exit timeout.
    """
    return any(state == "Z" for _, state in _children(server))


def _children(parent: int) -> Iterator[tuple[int, str]]:
    """Process ids and states (R, S, D, T, Z ...) of a process's children."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
            if int(ppid) == parent:
                yield int(stat.parent.name), state


def end_processes(prefix: str) -> None:
    """Kill the remaining processes of a server and wait until they are gone."""
    deadline = time.monotonic() + _END_S
    while (left := processes_of(prefix)) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def remove_regions(prefix: str) -> None:
    """Remove a server's shared memory, and last the lock that marks it as owned."""
    regions = sorted(SHARED_MEMORY.glob(f"{prefix}*"), key=lambda one: one.name.endswith(_LOCK))
    for region in regions:
        with contextlib.suppress(OSError):
            region.unlink()


def remove_stale() -> list[str]:
    """Remove the shared memory of servers that are gone; returns the prefixes removed.

    A server is gone when its lock is free and no process has its prefix on the command line. The
    lock also shows owners in other containers, which share the memory but not the process table.
    """
    removed = []
    prefixes = {
        f"{PREFIX}{path.name.removeprefix(PREFIX).partition('_')[0]}_"
        for path in SHARED_MEMORY.glob(f"{PREFIX}*_*")
    }
    for prefix in sorted(prefixes):
        lock = SHARED_MEMORY / f"{prefix}{_LOCK}"
        descriptor = _try_lock(lock)
        if (descriptor is None and lock.exists()) or processes_of(prefix):
            _release(descriptor)
            continue
        remove_regions(prefix)
        _release(descriptor)
        removed.append(prefix)
    return removed


def _try_lock(path: Path, *, create: bool = False) -> int | None:
    """Lock a file; None if it does not exist, cannot be opened or is locked already."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _release(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def main() -> None:
    """Run the watchdog: wait until dismissed by the owner, or clean up after the owner's exit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # stopping a container signals every process
    # Unbuffered: data after the task must stay where select sees it.
    with open(0, "rb", buffering=0, closefd=False) as pipe:
        task = json.loads(pipe.readline() or b"{}")
    if not task or _is_done(task["owner"]):
        return
    end_processes(task["prefix"])
    remove_regions(task["prefix"])
    shutil.rmtree(task["folder"], ignore_errors=True)


def _is_done(owner: int) -> bool:
    """Wait until the owner dismisses the watchdog (True) or exits without doing so (False)."""
    pipe = sys.stdin.fileno()
    watched = [pipe]
    # A process forked by the owner may keep the pipe open after the owner has exited.
    with contextlib.suppress(OSError, AttributeError):
        watched.append(os.pidfd_open(owner))
    ready, _, _ = select.select(watched, [], [])
    # The pipe first: an owner that stopped in an orderly way wrote to it before it exited.
    return pipe in ready and os.read(pipe, len(_DONE)) == _DONE


if __name__ == "__main__":
    main()
