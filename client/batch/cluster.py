"""Ray on this machine or an existing cluster, and how the workers are laid out on it."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from photoreal.client.batch.files import reason_of
from photoreal.client.errors import InvalidInput
from photoreal.contract import DEVICE_VARIABLE
from photoreal.cores import available_cores
from photoreal.errors import PhotorealError

DEFAULT_CORES = 4
"""Most cores of a worker by default."""
_KNOCK_S = 10.0

Resources = Mapping[str, float]
"""What a node offers, by Ray's names: "CPU", "GPU"."""


class ClusterFailed(PhotorealError):
    """Ray cannot start, does not answer, or ended during a run."""


@dataclass(frozen=True)
class Layout:
    """The workers: their number, the cores and threads of each, and their device."""

    workers: int
    cores: int
    device: str


@contextmanager
def ray_cluster(address: str | None, cores: int | None = None) -> Iterator[list[Resources]]:
    """Connect to a cluster, or start Ray on this machine; yield the resources of each node.

    A connection that this process has already is used, and stays.

    Args:
        address: address of the cluster, as ``ray.init`` takes it; None is this machine alone.
        cores: cores of this machine that are used; all by default.

    Raises:
        ClusterFailed: no cluster answers at the address, or Ray cannot start.
    """
    _prepare(address)
    import ray

    if ray.is_initialized():
        yield _resources()
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        with _silent():
            if address is not None:
                _knock(address)
                ray.init(address, **quiet)
            else:
                count = cores or available_cores()
                ray.init("local", num_cpus=count, include_dashboard=False, **quiet)
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        where = f"No Ray cluster answers at {address!r}" if address else "Ray cannot start here"
        raise ClusterFailed(f"{where}: {reason_of(error)}.") from None
    try:
        yield _resources()
    finally:
        ray.shutdown()


def lay_out(
    nodes: Sequence[Resources],
    photos: int,
    cores: int | None = None,
    workers: int | None = None,
    *,
    grows: bool = False,
) -> Layout:
    """Decide the workers: one a GPU where there are GPUs, else one for every few cores.

    Args:
        nodes: the resources of each node.
        photos: number of photos; there are no more workers.
        cores: cores of each worker; by default up to 4, as many as the smallest node has for one.
        workers: number of workers; by default as many as fit.
        grows: whether the cluster may get nodes for workers that do not fit now.

    Raises:
        InvalidInput: nothing fits, or less than was asked for.
    """
    device = os.environ.get(DEVICE_VARIABLE) or (
        "cuda" if any(node.get("GPU", 0) >= 1 for node in nodes) else "cpu"
    )
    # Places of a node: its GPUs, or a number that only its cores limit.
    sizes = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
    if device == "cuda":
        shares = [own // gpus for own, gpus in sizes if gpus and own >= gpus]
    else:
        shares = [own for own, _ in sizes if own]
    cores = cores or min([DEFAULT_CORES, *shares])
    fits = sum(min(own // cores, gpus if device == "cuda" else own) for own, gpus in sizes)
    if not grows and fits < (workers or 1):
        each = f"{cores} {'core' if cores == 1 else 'cores'}"
        each += " and a GPU" if device == "cuda" else ""
        raise InvalidInput(
            f"{fits} workers with {each} fit; expected at least {workers or 1}."
            " --cores-per-worker and --workers say what is wanted."
        )
    return Layout(max(1, min(workers or fits, photos)), cores, device)


def _resources() -> list[Resources]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at HOST:PORT; Ray would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()


@contextmanager
def _silent() -> Iterator[None]:
    """Drop what Ray's C++ parts print on standard error; the exceptions say it as well."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _prepare(address: str | None) -> None:
    """Set what Ray reads from the environment when it is imported."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent to Ray's developers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it logs to the terminal as well
    if address is None and "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        # Only this run's processes may give orders to the Ray that it starts.
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
