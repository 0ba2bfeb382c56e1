"""Limits, deadlines, canceled requests and the queue, through the real server.

What the queue does with frames, canaries and time is in `tests/adapters/test_queue.py`.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from photoreal.client import (
    AsyncStyleTransferClient,
    RequestRejected,
    RequestTimeout,
    ServerUnavailable,
    StyleTransferClient,
    StylizeResult,
)
from photoreal.client._transport.base import infer_arguments
from photoreal.client._transport.inputs import build_inputs
from photoreal.client.address import Protocol
from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import metric, quiet_server, url_of
from tests.kinds import Stylize
from tests.shared import encoded, photo, wait_until

pytestmark = pytest.mark.server

LONG = 1024  # many seconds of work, which is never done to the end here
LEVELS = 15  # in a request with a style that is new
PROTOCOLS: tuple[Protocol, ...] = ("http", "grpc")
LIMITS = {
    "PHOTOREAL_MAX_IMAGE_BYTES": "100000",
    "PHOTOREAL_MAX_PIXELS": "1000000",
    "PHOTOREAL_FORMATS": "JPEG,PNG",
    "PHOTOREAL_MAX_REGIONS": "4",
    "PHOTOREAL_MAX_MEMORY": "2500000000",
    "PHOTOREAL_MAX_QUEUE": "1",
    "PHOTOREAL_MAX_SECONDS": "60",
}


@pytest.fixture(scope="module")
def small(bare_repository: Any) -> Iterator[Server]:
    """A server with small limits."""
    with quiet_server(bare_repository, limits=LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def photos() -> dict[str, Any]:
    """Two small photos; the size at which they are worked on makes the work."""
    return {
        "content": encoded(photo(40, 40)),
        "style": encoded(photo(40, 40, 1)),
        "method": "published",  # the only one that enlarges small photos
    }


@pytest.fixture(scope="module")
def quick(stylize: Stylize, photos: dict[str, Any]) -> Callable[[Server], object]:
    """Asserts that the server answers a small request, whose style is new to it."""
    sizes = iter(range(16, 64))
    return lambda server: stylize(server, **photos, size=next(sizes), timeout=60)


def _levels(server: Server) -> float:
    return metric(server, "photoreal_levels_total")


def _waiting(server: Server) -> float:
    return metric(server, "photoreal_requests_waiting")


class _LongRequest:
    """A long request over gRPC that is canceled at the end; begun when its context is."""

    def __init__(self, server: Server, photos: dict[str, Any]) -> None:
        self._client = tritonclient.grpc.InferenceServerClient(server.grpc_url)
        inputs = build_inputs(**photos, size=LONG, segment=False)
        self._arguments = infer_arguments(tritonclient.grpc, inputs, ["IMAGE"], "long", 60)
        self._server, self.ended = server, threading.Event()

    def __enter__(self) -> _LongRequest:
        before = _levels(self._server)
        self._call = self._client.async_infer(
            **self._arguments, callback=lambda result, error: self.ended.set()
        )
        wait_until(lambda: _levels(self._server) >= before + 1)
        return self

    def __exit__(self, *error: object) -> None:
        self._call.cancel()
        assert self.ended.wait(10)
        self._client.close()


# --- limits ----------------------------------------------------------------------------------


def test_each_limit_is_refused_with_what_is_allowed(
    small: Server, stylize: Stylize, photos: dict[str, Any]
) -> None:
    stripes = encoded(np.repeat(np.arange(8, dtype=np.uint8), 200).reshape(40, 40))
    flat = np.zeros((1001, 1000, 3), dtype=np.uint8)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"content": encoded(photo(300, 300))}, "at most 100000"),
        ({"content": encoded(flat)}, "1000x1001 pixels; expected at most 1000000 pixels"),
        ({"style": encoded(photo(40, 40), "BMP")}, "JPEG or PNG"),
        ({"content_mask": stripes, "style_mask": stripes}, "4"),
        ({"size": 1200}, "2500 MB"),
    ]
    for number, (changes, words) in enumerate(cases):
        with pytest.raises(RequestRejected, match=words):
            stylize(small, PROTOCOLS[number % 2], **{**photos, "size": 16, **changes})


def test_the_size_that_would_fit_is_begun(
    small: Server, stylize: Stylize, photos: dict[str, Any], quick: Callable[[Server], object]
) -> None:
    with pytest.raises(RequestRejected) as caught:
        stylize(small, **photos, size=2048)
    found = re.search(r"size of up to (\d+)", str(caught.value))
    assert found
    with pytest.raises(RequestRejected):
        stylize(small, **photos, size=int(found[1]) + 1)
    with pytest.raises(RequestTimeout):
        stylize(small, **photos, size=int(found[1]), timeout=0.5)
    quick(small)


# --- deadlines and canceled requests ---------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_server_stops_when_time_is_up(
    small: Server, photos: dict[str, Any], quick: Callable[[Server], object], protocol: str
) -> None:
    """The client waits for longer than the request says, so the answer is the server's."""
    binding = tritonclient.grpc if protocol == "grpc" else tritonclient.http
    before = _levels(small)
    inputs = build_inputs(**photos, size=LONG, segment=False)
    arguments = infer_arguments(binding, inputs, ["IMAGE"], "late", 1.5)
    with (
        binding.InferenceServerClient(url_of(small, protocol)) as client,
        pytest.raises(InferenceServerException, match=r"1\.5 s, the timeout") as caught,
    ):
        client.infer(**arguments)
    assert caught.value.status() == ("503" if protocol == "http" else "StatusCode.UNAVAILABLE")
    assert 0 < _levels(small) - before < LEVELS
    quick(small)


async def _leave(
    server: Server, protocol: Protocol, photos: dict[str, Any], when: Callable[[], bool]
) -> None:
    """Begin a long call and give it up as soon as a condition holds."""
    async with AsyncStyleTransferClient(url_of(server, protocol), protocol=protocol) as client:
        task = asyncio.create_task(client.stylize(**photos, size=LONG, segment=False))
        await asyncio.to_thread(wait_until, when)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("leaves", ["grpc cancels", "http cancels", "http times out"])
def test_a_client_that_leaves_stops_the_work_within_a_level(
    small: Server, photos: dict[str, Any], quick: Callable[[Server], object], leaves: str
) -> None:
    before = _levels(small)
    if leaves == "grpc cancels":
        with _LongRequest(small, photos):
            at_cancel = _levels(small) - before
    elif leaves == "http cancels":
        asyncio.run(_leave(small, "http", photos, lambda: _levels(small) > before))
        at_cancel = _levels(small) - before
    else:
        with StyleTransferClient(small.http_url) as client, pytest.raises(RequestTimeout):
            client.stylize(**photos, size=LONG, segment=False, timeout=1.5)
        at_cancel = _levels(small) - before
    quick(small)
    begun = _levels(small) - before - LEVELS
    print(f"{begun:.0f} of {LEVELS} levels were begun, {at_cancel:.0f} before leaving")
    # One may begin between the count and the cancel, one between the cancel and its arrival.
    assert begun <= at_cancel + 2 < LEVELS


# --- the queue -------------------------------------------------------------------------------


def test_a_request_beyond_the_queue_is_refused_at_once(
    small: Server, stylize: Stylize, photos: dict[str, Any]
) -> None:
    turned_away = {"model": "stylize", "outcome": "busy"}
    before = metric(small, "photoreal_requests_total", **turned_away)
    results: list[StylizeResult] = []
    second = threading.Thread(
        target=lambda: results.append(stylize(small, **photos, size=16, timeout=60))
    )
    with _LongRequest(small, photos) as long:
        second.start()
        wait_until(lambda: _waiting(small) == 1)
        for protocol in PROTOCOLS:
            with (
                StyleTransferClient(
                    url_of(small, protocol), protocol=protocol, retries=0
                ) as client,
                pytest.raises(ServerUnavailable, match="is full"),
            ):
                client.stylize(**photos, size=16)
        assert not long.ended.is_set()  # the refusal did not wait for it
    second.join(60)
    assert [result.image.size for result in results] == [(16, 16)]
    assert metric(small, "photoreal_requests_total", **turned_away) >= before + len(PROTOCOLS)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_canceled_while_it_waits_is_never_begun(
    small: Server,
    photos: dict[str, Any],
    quick: Callable[[Server], object],
    protocol: Protocol,
) -> None:
    with _LongRequest(small, photos):
        asyncio.run(_leave(small, protocol, photos, lambda: _waiting(small) == 1))
        before = _levels(small)
    wait_until(lambda: _waiting(small) == 0)
    quick(small)
    assert _levels(small) - before <= 2 + LEVELS  # of the long request and of the quick one
