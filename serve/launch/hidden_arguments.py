"""Start a program with arguments that the process list does not show.

Every user of a machine can read the command lines of its processes (``/proc/PID/cmdline``), and
tritonserver accepts its keys only there. The kernel shows the memory where exec placed the
arguments; the program itself follows the pointers of ``argv``. So the program is started with
placeholders and stopped by ptrace at exec, before its first instruction; then the pointers of the
placeholders are set to the real arguments. Those are in its environment, which only the same user
can read, and are removed from its ``environ``, so that its children do not inherit them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

_VARIABLE = "PHOTOREAL_ARGUMENT_"
_CONTINUE, _DETACH = 7, 17  # ptrace requests; 0 is PTRACE_TRACEME
_NOT_HELD = 97
# Runs in a separate process: between fork and exec, a program with threads may do almost nothing
# safely.
_HOLD = f"""
import ctypes, os, sys
try:
    if ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0:
        os.execv(sys.argv[1], sys.argv[1:])
finally:
    os._exit({_NOT_HELD})
"""
_STACK_FIELD = 28 - 3  # startstack of proc(5), counted from the field after the name
_POINTER = struct.calcsize("P")
_READ = 4096


class Started(NamedTuple):
    """A started process, and whether its arguments are hidden."""

    process: subprocess.Popen[bytes]
    hidden: bool


def start(
    shown: Sequence[str],
    real: Sequence[str],
    env: Mapping[str, str],
    *,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> Started:
    """Start a program in a new session, without standard input.

    Where ptrace is not permitted, as on a machine with ``kernel.yama.ptrace_scope=3``, the
    arguments are visible.

    Args:
        shown: the command as the process list shows it; the first item is the program's path, and
            placeholders differ from each other.
        real: the command that the program receives, with the same length and path as `shown`.
        env: environment of the program.
        stdout: as for ``subprocess.Popen``.
        stderr: likewise.

    Raises:
        OSError: the program cannot be started.
    """
    options: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": stdout,
        "stderr": stderr,
        "start_new_session": True,
    }
    hidden = {a.encode(): b for a, b in zip(shown, real, strict=True) if a != b}
    if hidden:
        variables = {f"{_VARIABLE}{n}": one for n, one in enumerate(hidden.values())}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _HOLD, *shown],
            env={**env, **variables},
            **options,
        )
        names = dict(zip(hidden, (name.encode() for name in variables), strict=True))
        if _released_with(process, names):
            return Started(process, hidden=True)
    return Started(subprocess.Popen(list(real), env=dict(env), **options), hidden=not hidden)


def _released_with(process: subprocess.Popen[bytes], variables: Mapping[bytes, bytes]) -> bool:
    """Wait for exec, replace the arguments and resume the program.

    Returns False if that fails; the process has then been killed.
    """
    try:
        if _is_held(process):
            _Memory(process.pid).replace(variables)
            if _ptrace(_DETACH, process.pid, 0) == 0:
                return True
    except (OSError, ValueError, struct.error):
        pass
    except BaseException:
        _end(process)
        raise
    _end(process)
    return False


def _is_held(process: subprocess.Popen[bytes]) -> bool:
    """Wait until the process is stopped at exec; False if it has exited instead."""
    while True:
        _, status = os.waitpid(process.pid, 0)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return False
        if os.WSTOPSIG(status) == signal.SIGTRAP:
            return True
        _ptrace(_CONTINUE, process.pid, os.WSTOPSIG(status))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # does nothing if it has exited
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _ptrace(request: int, pid: int, data: int) -> int:
    call = ctypes.CDLL(None).ptrace
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return int(call(request, pid, None, data))


class _Memory:
    """Initial stack of a stopped program: argc, argv, a null pointer, envp, a null pointer."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def replace(self, variables: Mapping[bytes, bytes]) -> None:
        """Point arguments to the values of variables; `variables` maps arguments to variable names.

        Raises OSError or ValueError if the memory is not as expected.
        """
        proc = Path("/proc") / str(self._pid)
        fields = (proc / "stat").read_bytes().rpartition(b")")[2].split()
        argv = int(fields[_STACK_FIELD]) + _POINTER
        with (proc / "mem").open("r+b", buffering=0) as memory:
            arguments = self._pointers(memory, argv)
            envp = argv + (len(arguments) + 1) * _POINTER
            environment = self._pointers(memory, envp)
            names = [self._text(memory, one).partition(b"=")[0] for one in environment]
            # The auxiliary vector follows the pointers, so their number must not change.
            other = next(
                one
                for one, name in zip(environment, names, strict=True)
                if name not in variables.values()
            )
            missing = dict(variables)
            for place, pointer in enumerate(arguments):
                name = missing.pop(self._text(memory, pointer), None)
                if name is not None:
                    at = names.index(name)
                    value = environment[at] + len(name) + 1
                    self._write(memory, argv + place * _POINTER, value)
                    self._write(memory, envp + at * _POINTER, other)
        if missing:
            raise ValueError("An argument to be replaced is not there.")

    def _pointers(self, memory: IO[bytes], address: int) -> list[int]:
        """Read the pointers from an address up to a null pointer."""
        found: list[int] = []
        while True:
            memory.seek(address + len(found) * _POINTER)
            (pointer,) = struct.unpack("P", memory.read(_POINTER))
            if not pointer:
                return found
            found.append(pointer)

    def _text(self, memory: IO[bytes], address: int) -> bytes:
        memory.seek(address)
        text = b""
        while b"\0" not in text:
            # Read up to the end of the page: a read beyond the last page fails.
            part = memory.read(_READ - memory.tell() % _READ)
            if not part:
                raise ValueError("A text does not end.")
            text += part
        return text.partition(b"\0")[0]

    def _write(self, memory: IO[bytes], address: int, pointer: int) -> None:
        memory.seek(address)
        memory.write(struct.pack("P", pointer))
