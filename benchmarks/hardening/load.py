"""Load generator: concurrent clients, each with its own pair and its expected picture."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hardening import seeds
from photoreal.client import ClientError, StyleTransferClient
from photoreal.client.address import PROTOCOLS

TIMEOUT_S = 60.0

_MOST_KINDS = 5

Job = dict[str, Any]
"""Arguments of ``stylize``."""


class Addresses(Protocol):
    """Addresses of a server, such as a `Server`."""

    @property
    def http_url(self) -> str:
        """Address of the HTTP endpoint."""

    @property
    def grpc_url(self) -> str:
        """Address of the gRPC endpoint."""


def make_jobs(count: int, side: int = 48) -> list[Job]:
    """Make different jobs: with and without masks, in several sizes and transfer positions."""
    places = ("encoder", "encoder", "encoder,skip,decoder", "encoder")
    return [
        {
            "content": _photo(2 * number, side, side + 8 * number),
            "style": _photo(2 * number + 1, side + 8, side),
            "size": 16 + 4 * (number % 4),
            "transfer_at": places[number % len(places)],
            "segment": number % 4 == 0,
            "alpha": 1.0 - 0.1 * (number % 3),
        }
        | (_masks(number, side) if number % 2 else {})
        for number in range(count)
    ]


def connect(server: Addresses, number: int, retries: int) -> StyleTransferClient:
    """Open a client: HTTP for even numbers, gRPC for odd ones."""
    protocol = PROTOCOLS[number % 2]
    url = server.grpc_url if protocol == "grpc" else server.http_url
    return StyleTransferClient(url, protocol=protocol, timeout=TIMEOUT_S, retries=retries)


def solo(server: Addresses, jobs: Sequence[Job]) -> list[bytes]:
    """The pictures of the jobs, made one after the other without other load."""
    with connect(server, 0, 0) as client:
        return [client.stylize(**job).png for job in jobs]


@dataclass
class Tally:
    """Outcomes of the calls of several clients; `wrong` counts pictures that differ."""

    pictures: int = 0
    wrong: int = 0
    errors: list[ClientError] = field(default_factory=list)
    unexpected: list[BaseException] = field(default_factory=list)

    @property
    def kinds(self) -> Counter[str]:
        """Number of errors by kind."""
        return Counter(type(error).__name__ for error in self.errors)


class Load:
    """Clients in separate threads, which send requests until they are stopped.

    Args:
        server: the server that gets the requests.
        jobs: one job per client.
        expected: the expected picture of each job.
        retries: retries of the clients.
        until_error: whether a client stops at its first error.
    """

    def __init__(
        self,
        server: Addresses,
        jobs: Sequence[Job],
        expected: Sequence[bytes],
        *,
        retries: int,
        until_error: bool = False,
    ) -> None:
        self.tally = Tally()
        self._server, self._retries, self._until_error = server, retries, until_error
        self._lock, self._done = threading.Lock(), threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number, job, picture))
            for number, (job, picture) in enumerate(zip(jobs, expected, strict=True))
        ]

    def await_pictures(self, count: int, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for `count` more pictures; raises TimeoutError."""
        goal, deadline = self.tally.pictures + count, time.monotonic() + timeout_s
        while self.tally.pictures < goal:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.tally.pictures} of {goal} pictures came")
            time.sleep(0.01)

    def start(self) -> None:
        """Start the clients."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the clients once each has finished its call."""
        self._done.set()
        for thread in self._threads:
            thread.join(2 * TIMEOUT_S)

    @property
    def hanging(self) -> int:
        """Number of clients that are still in a call after `stop`."""
        return sum(thread.is_alive() for thread in self._threads)

    def complaints(self, *, errors: bool = True) -> list[str]:
        """List what went wrong, with or without the errors that clients got."""
        tally = self.tally
        failed = [*tally.unexpected, *(tally.errors if errors else ())]
        words = Counter(f"{type(one).__name__}: {one}" for one in failed)
        found = [f"{count} times {one}" for one, count in words.most_common(_MOST_KINDS)]
        if tally.wrong:
            found.append(f"{tally.wrong} pictures differ from those made alone")
        if self.hanging:
            found.append(f"{self.hanging} calls hang")
        return found

    def _work(self, number: int, job: Job, picture: bytes) -> None:
        try:
            with connect(self._server, number, self._retries) as client:
                while not self._done.is_set() and not self._call(client, job, picture):
                    pass
        except BaseException as error:  # noqa: BLE001 (would vanish in the thread)
            self.tally.unexpected.append(error)

    def _call(self, client: StyleTransferClient, job: Job, picture: bytes) -> bool:
        """Make one call; return whether the client should stop."""
        try:
            got = client.stylize(**job).png
        except ClientError as error:
            with self._lock:
                self.tally.errors.append(error)
            return self._until_error
        with self._lock:
            self.tally.pictures += 1
            self.tally.wrong += got != picture
        return False


@contextmanager
def running(load: Load) -> Iterator[Load]:
    """Run the clients for the duration of the context."""
    load.start()
    try:
        yield load
    finally:
        load.stop()


def _photo(seed: int, height: int, width: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return seeds.encode(Image.fromarray(noise).resize((width, height)), "PNG")


def _masks(number: int, side: int) -> dict[str, bytes]:
    shapes = {
        "content_mask": (side, side + 8 * number),
        "style_mask": (side + 8, side),
    }
    made = {}
    for role, (height, width) in shapes.items():
        labels = np.zeros((height, width), np.uint8)
        labels[:, width // 2 :] = 1 + number % 3
        made[role] = seeds.encode(Image.fromarray(labels), "PNG")
    return made
