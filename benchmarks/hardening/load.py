"""Load generator: concurrent clients, each with its own pair and its expected picture."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pictures import encoded
from PIL import Image

from photoreal.client import ClientError, StyleTransferClient
from photoreal.client.address import PROTOCOLS

TIMEOUT_S = 60.0

_MOST_KINDS = 5

Job = dict[str, Any]
"""Arguments of ``stylize``."""

Urls = tuple[str, str]
"""Addresses of a server's HTTP and gRPC endpoints."""


def make_jobs(count: int, side: int = 48) -> list[Job]:
    """Make different jobs: with and without masks, in several sizes and transfer positions."""
    return [_job(number, side) for number in range(count)]


def connect(urls: Urls, number: int, retries: int) -> StyleTransferClient:
    """Open a client: HTTP for even numbers, gRPC for odd ones."""
    side = number % len(PROTOCOLS)
    return StyleTransferClient(
        urls[side], protocol=PROTOCOLS[side], timeout=TIMEOUT_S, retries=retries
    )


def solo(urls: Urls, jobs: Sequence[Job]) -> list[bytes]:
    """The pictures of the jobs, made one after the other without other load."""
    with connect(urls, 0, 0) as client:
        return [client.stylize(**job).png for job in jobs]


@dataclass
class Load:
    """Clients in separate threads, which send requests until they are stopped.

    Args:
        urls: the server that gets the requests.
        jobs: one job per client.
        expected: the expected picture of each job.
        retries: retries of the clients.
        until_error: whether a client stops at its first error.

    Attributes:
        pictures: how many came, `wrong` of them different from the expected one.
        errors: those that the calls raised.
        hanging: how many clients were still in a call long after the end.
    """

    urls: Urls
    jobs: Sequence[Job]
    expected: Sequence[bytes]
    retries: int
    until_error: bool = False
    pictures: int = 0
    wrong: int = 0
    errors: list[Exception] = field(default_factory=list)
    hanging: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _done: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the clients for the duration of the context; each finishes its last call."""
        threads = [
            threading.Thread(target=self._work, args=(number, job, picture), daemon=True)
            for number, (job, picture) in enumerate(zip(self.jobs, self.expected, strict=True))
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._done.set()
            for thread in threads:
                thread.join(2 * TIMEOUT_S)
            self.hanging = sum(thread.is_alive() for thread in threads)

    def await_pictures(self, count: int, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for `count` more pictures; raises TimeoutError."""
        goal, deadline = self.pictures + count, time.monotonic() + timeout_s
        while self.pictures < goal:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.pictures} of {goal} pictures came")
            time.sleep(0.01)

    def complaints(self, allowed: type[Exception] | tuple[()] = ()) -> list[str]:
        """List what went wrong, but for the errors that are allowed."""
        words = Counter(
            f"{type(one).__name__}: {one}" for one in self.errors if not isinstance(one, allowed)
        )
        found = [f"{count} times {one}" for one, count in words.most_common(_MOST_KINDS)]
        if self.wrong:
            found.append(f"{self.wrong} pictures differ from those made alone")
        if self.hanging:
            found.append(f"{self.hanging} calls hang")
        return found

    def _work(self, number: int, job: Job, picture: bytes) -> None:
        with connect(self.urls, number, self.retries) as client:
            while not self._done.is_set():
                try:
                    got = client.stylize(**job).png
                except Exception as error:  # noqa: BLE001 (would vanish in the thread)
                    with self._lock:
                        self.errors.append(error)
                    if self.until_error or not isinstance(error, ClientError):
                        return
                else:
                    with self._lock:
                        self.pictures += 1
                        self.wrong += got != picture


def _job(number: int, side: int) -> Job:
    random = np.random.default_rng(number)
    job: Job = {
        "size": 16 + 4 * (number % 4),
        "transfer_at": "encoder,skip,decoder" if number % 4 == 2 else "encoder",
        "segment": number % 4 == 0,
        "alpha": 1.0 - 0.1 * (number % 3),
    }
    for role, height, width in (("content", side, side + 8 * number), ("style", side + 8, side)):
        noise = random.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        job[role] = encoded(Image.fromarray(noise).resize((width, height)), "PNG")
        if number % 2:
            labels = np.zeros((height, width), np.uint8)
            labels[:, width // 2 :] = 1 + number % 3
            job[f"{role}_mask"] = encoded(Image.fromarray(labels), "PNG")
    return job
