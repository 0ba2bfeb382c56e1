"""The processes of a server's models, as the system's table of processes tells of them.

It tells at once what no answer of the server's does: that a model's process has died, or that
somebody has stopped it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import psutil

State = Literal["alive", "disk", "stopped", "dead"]

SERVER = "tritonserver"
"""What stands for a model's name where the process is the server's own."""

_STUB = "triton_python_backend_stub"
_INSTANCE = 8
"""Place of the instance's name, MODEL_GROUP_NUMBER, among a helper's arguments."""
_STATES: dict[str, State] = {
    psutil.STATUS_ZOMBIE: "dead",
    psutil.STATUS_DEAD: "dead",
    psutil.STATUS_STOPPED: "stopped",
    psutil.STATUS_DISK_SLEEP: "disk",
}


@dataclass(frozen=True)
class ModelProcess:
    """One process of a model; `cpu_s` is the processor time it has used, in seconds.

    The state "disk" is a wait that no signal ends, mostly for a disk.
    """

    model: str
    pid: int
    state: State = "alive"
    cpu_s: float = 0.0


class ProcessTable:
    """Follows the model processes of one tritonserver."""

    def __init__(self, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)
        self._known: dict[int, tuple[str, psutil.Process]] = {}

    def look(self) -> list[ModelProcess]:
        """The state of the server and of every model process.

        A dead one is told until it is forgotten. Processor time is the models' alone: the
        server's own goes into answering probes as well.
        """
        with contextlib.suppress(psutil.Error):
            for child in self._server.children():
                model = None if child.pid in self._known else _model_of(child)
                if model is not None:
                    self._known[child.pid] = (model, child)
        server = ModelProcess(SERVER, self._server.pid, _state_of(SERVER, self._server).state)
        return [server, *(_state_of(model, process) for model, process in self._known.values())]

    def forget(self, model: str) -> None:
        """Leave out the processes of a model that is about to get others.

        They have to be dead: a dead process has no arguments left by which to find it again.
        """
        self._known = {pid: one for pid, one in self._known.items() if one[0] != model}


def _model_of(process: psutil.Process) -> str | None:
    """The model that a process of the server works for, None when it is of another kind."""
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
    except psutil.Error:  # it is no more
        return ModelProcess(model, process.pid, "dead")
