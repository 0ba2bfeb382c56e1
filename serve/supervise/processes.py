"""Processes of a server's models, from the system's process table.

It shows at once what no response of the server does: that a model process has died or has been
stopped.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import psutil

State = Literal["alive", "disk", "stopped", "dead"]

SERVER = "tritonserver"
"""Name used in place of a model's for the server's own process."""

_STUB = "triton_python_backend_stub"
_INSTANCE = 8
"""Index of the instance name, MODEL_GROUP_NUMBER, in a model process's arguments."""
_STATES: dict[str, State] = {
    psutil.STATUS_ZOMBIE: "dead",
    psutil.STATUS_DEAD: "dead",
    psutil.STATUS_STOPPED: "stopped",
    psutil.STATUS_DISK_SLEEP: "disk",
}


@dataclass(frozen=True)
class ModelProcess:
    """One process of a model; `cpu_s` is the CPU time it has used, in seconds.

    The state "disk" is an uninterruptible wait, mostly for a disk.
    """

    model: str
    pid: int
    state: State = "alive"
    cpu_s: float = 0.0


class ProcessTable:
    """Tracks the model processes of one tritonserver."""

    def __init__(self, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)
        self._known: dict[int, tuple[str, psutil.Process]] = {}

    def snapshot(self) -> list[ModelProcess]:
        """Return the state of the server and of every model process.

        A dead process is reported until `forget` is called. CPU time is counted for models only:
        the server also spends some on answering probes.
        """
        with contextlib.suppress(psutil.Error):
            for child in self._server.children():
                model = None if child.pid in self._known else _model_of(child)
                if model is not None:
                    self._known[child.pid] = (model, child)
        server = ModelProcess(SERVER, self._server.pid, _state_of(SERVER, self._server).state)
        return [server, *(_state_of(model, process) for model, process in self._known.values())]

    def forget(self, model: str) -> None:
        """Stop tracking the processes of a model that is about to be reloaded.

        They must be dead: a dead process has no arguments left by which it could be found again.
        """
        self._known = {pid: one for pid, one in self._known.items() if one[0] != model}


def _model_of(process: psutil.Process) -> str | None:
    """Return the model of one of the server's child processes, None if it has none."""
    with contextlib.suppress(psutil.Error):
        arguments = process.cmdline()
        if len(arguments) > _INSTANCE and arguments[0].endswith(_STUB):
            return str(arguments[_INSTANCE].rsplit("_", 2)[0])
    return None


def _state_of(model: str, process: psutil.Process) -> ModelProcess:
    try:
        state = _STATES.get(process.status(), "alive")
        if state == "dead":
            return ModelProcess(model, process.pid, state)
        times = process.cpu_times()
        return ModelProcess(model, process.pid, state, times.user + times.system)
    except psutil.Error:  # it no longer exists
        return ModelProcess(model, process.pid, "dead")
