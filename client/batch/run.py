"""Batch run on Ray Data: workers that are replaced when they end, one outcome for each photo."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from photoreal.client.batch.cluster import ClusterFailed, Layout
from photoreal.client.batch.files import reason_of, remove, write
from photoreal.client.batch.ledger import Outcome, RemoteLedger
from photoreal.client.batch.plan import FAILURES, Photo
from photoreal.client.batch.worker import Stylist, Work

_LARGEST_TASK = 16
_TASKS_PER_WORKER = 16


def outcomes(photos: Sequence[Photo], work: Work, layout: Layout) -> Iterator[Outcome]:
    """Make the pictures; yield what becomes of each photo, in any order and exactly once.

    A worker that ends early is replaced, and its photos are done by another one, except for a
    photo that ended several.

    Raises:
        ClusterFailed: the cluster is gone.
    """
    import ray.data
    from ray.exceptions import RayError

    _keep_off_terminal("ray.data")
    several = max(1, min(_LARGEST_TASK, len(photos) // (layout.workers * _TASKS_PER_WORKER)))
    context = ray.data.DataContext()
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = -1
    with ray.data.DataContext.current(context):
        rows = [asdict(photo) for photo in photos]
        made = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // several)).map(
            Stylist,
            fn_constructor_args=[work, layout.device, layout.cores, RemoteLedger(layout.workers)],
            # A task that waits in the queue of a worker would be lost with it.
            compute=ray.data.ActorPoolStrategy(
                size=layout.workers, max_tasks_in_flight_per_actor=1
            ),
            num_cpus=layout.cores,
            num_gpus=1 if layout.device == "cuda" else 0,
        )
        try:
            for row in made.iter_rows():
                yield Outcome(**row)
        except RayError as error:
            raise ClusterFailed(f"The run on Ray ended: {reason_of(error)}.") from None


def write_failures(output: str, failed: Mapping[str, Exception]) -> str | None:
    """Write the list of photos that failed, with reasons; without any, delete an earlier list.

    Returns the address of the list, or None if there is none.

    Raises:
        DiskFailed: the list cannot be written.
        InvalidInput: the earlier list cannot be deleted.
    """
    address = f"{output}/{FAILURES}"
    lines = [
        json.dumps({"photo": name, "reason": str(error)}) for name, error in sorted(failed.items())
    ]
    if not lines:
        remove(address)
        return None
    write(address, "".join(f"{line}\n" for line in lines).encode())
    return address


def _keep_off_terminal(logger: str) -> None:
    """Leave the messages of a logger of Ray to its files."""
    for handler in logging.getLogger(logger).handlers:
        own = type(handler).__module__.startswith("ray.")
        if own and isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
