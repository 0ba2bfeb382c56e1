"""Limits, deadlines, canceled requests and the queue, through the real server."""

from __future__ import annotations

import asyncio
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
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
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings

pytestmark = pytest.mark.server

Photo = Callable[..., npt.NDArray[np.uint8]]

LONG = 1024  # many seconds of work, which is never done to the end here
LEVELS = 15  # in a request with a style that is new
PROTOCOLS: tuple[Protocol, ...] = ("http", "grpc")


@pytest.fixture(scope="module")
def small(bare_repository: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with small limits."""
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    limits = {
        "PHOTOREAL_MAX_IMAGE_BYTES": "100000",
        "PHOTOREAL_MAX_PIXELS": "1000000",
        "PHOTOREAL_FORMATS": "JPEG,PNG",
        "PHOTOREAL_MAX_REGIONS": "4",
        "PHOTOREAL_MAX_MEMORY": "2500000000",
        "PHOTOREAL_MAX_QUEUE": "1",
        "PHOTOREAL_MAX_SECONDS": "60",
    }
    settings = ServeSettings(
        bare_repository,
        "local",
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        limits=limits,
    )
    log_file = tmp_path_factory.mktemp("small") / "log"
    with log_file.open("wb") as log, Server(settings, log) as server:
        yield server
    assert "Traceback" not in log_file.read_text(), log_file.read_text()


@pytest.fixture(scope="module")
def photos(encoded: Callable[..., bytes], photo: Photo) -> dict[str, Any]:
    """Two small photos; the size at which they are worked on makes the work."""
    return {
        "content": encoded(photo(40, 40)),
        "style": encoded(photo(40, 40, 1)),
        "method": "published",  # the only one that enlarges small photos
    }


@pytest.fixture(scope="module")
def quick(stylize: Callable[..., StylizeResult], photos: dict[str, Any]) -> Callable[..., None]:
    """Asserts that the server answers a small request soon, whose style is new to it."""
    sizes = iter(range(16, 64))

    def check(server: Server) -> None:
        started = time.monotonic()
        stylize(server, **photos, size=next(sizes), timeout=60)
        seconds = time.monotonic() - started
        print(f"the next request was answered after {seconds:.1f} s")

    return check


def _metric(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's values that have these labels."""
    with urllib.request.urlopen(server.metrics_url) as response:  # noqa: S310 (our own server)
        lines = response.read().decode().splitlines()
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    found = [line for line in lines if re.match(rf"{name}[{{ ]", line)]
    return sum(float(line.split()[-1]) for line in found if all(label in line for label in wanted))


def _levels(server: Server) -> float:
    return _metric(server, "photoreal_levels_total")


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class _LongRequest:
    """A long request over gRPC that can be canceled, begun when this returns."""

    def __init__(self, server: Server, photos: dict[str, Any]) -> None:
        before = _levels(server)
        self._client = tritonclient.grpc.InferenceServerClient(server.grpc_url)
        inputs = build_inputs(**photos, size=LONG, segment=False)
        arguments = infer_arguments(tritonclient.grpc, inputs, ["IMAGE"], "long", 60)
        self.ended = threading.Event()
        self._call = self._client.async_infer(
            **arguments, callback=lambda result, error: self.ended.set()
        )
        _wait(lambda: _levels(server) >= before + 1)

    def cancel(self) -> None:
        self._call.cancel()
        assert self.ended.wait(10)

    def __enter__(self) -> _LongRequest:
        return self

    def __exit__(self, *error: object) -> None:
        self.cancel()
        self._client.close()


# --- limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_limit_is_refused_with_what_is_allowed(
    small: Server,
    stylize: Callable[..., StylizeResult],
    photos: dict[str, Any],
    encoded: Callable[..., bytes],
    photo: Photo,
    protocol: str,
) -> None:
    stripes = encoded(np.repeat(np.arange(8, dtype=np.uint8), 200).reshape(40, 40))
    flat = np.zeros((1001, 1000, 3), dtype=np.uint8)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"content": encoded(photo(300, 300))}, "bytes; expected at most 100000."),
        ({"content": encoded(flat)}, "1000x1001 pixels; expected at most 1000000 pixels"),
        ({"style": encoded(photo(40, 40), "BMP")}, "expected one in JPEG or PNG format."),
        ({"content_mask": stripes, "style_mask": stripes}, "more than the 4 allowed"),
        ({"size": 1200}, "more than the 2500 MB allowed; a size of up to"),
    ]
    for changes, words in cases:
        with pytest.raises(RequestRejected, match=re.escape(words)):
            stylize(small, protocol, **{**photos, "size": 16, **changes})


def test_the_size_that_would_fit_is_begun(
    small: Server,
    stylize: Callable[..., StylizeResult],
    photos: dict[str, Any],
    quick: Callable[[Server], None],
) -> None:
    with pytest.raises(RequestRejected) as caught:
        stylize(small, **photos, size=2048)
    found = re.search(r"a size of up to (\d+) fits", str(caught.value))
    assert found
    with pytest.raises(RequestRejected):
        stylize(small, **photos, size=int(found[1]) + 1)
    with pytest.raises(RequestTimeout):
        stylize(small, **photos, size=int(found[1]), timeout=0.5)
    quick(small)


# --- deadlines -------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_server_stops_when_time_is_up(
    small: Server,
    photos: dict[str, Any],
    quick: Callable[[Server], None],
    protocol: str,
) -> None:
    """The client waits for longer than the request says, so the answer is the server's."""
    binding = tritonclient.grpc if protocol == "grpc" else tritonclient.http
    before = _levels(small)
    arguments = infer_arguments(
        binding, build_inputs(**photos, size=LONG, segment=False), ["IMAGE"], "late", 1.5
    )
    url = small.grpc_url if protocol == "grpc" else small.http_url
    with (
        binding.InferenceServerClient(url) as client,
        pytest.raises(InferenceServerException) as caught,
    ):
        client.infer(**arguments)
    assert caught.value.status() == ("503" if protocol == "http" else "StatusCode.UNAVAILABLE")
    assert caught.value.message() == (
        "The request was stopped after 1.5 s, the timeout of the request."
    )
    begun = _levels(small) - before
    print(f"{begun:.0f} of {LEVELS} levels were begun")
    assert 0 < begun < LEVELS
    quick(small)


# --- canceled requests -----------------------------------------------------------------------


def test_a_canceled_grpc_call_stops_within_a_level(
    small: Server, photos: dict[str, Any], quick: Callable[[Server], None]
) -> None:
    before = _levels(small)
    with _LongRequest(small, photos):
        at_cancel = _levels(small)
    quick(small)
    begun = _levels(small) - before - LEVELS
    print(f"{begun:.0f} of {LEVELS} levels were begun, {at_cancel - before:.0f} before canceling")
    # One may begin between the count and the cancel, one between the cancel and its arrival.
    assert begun <= at_cancel - before + 2 < LEVELS


async def _leave(
    server: Server, protocol: Protocol, photos: dict[str, Any], when: Callable[[], bool]
) -> None:
    """Begin a long call and give it up as soon as a condition holds."""
    url = server.grpc_url if protocol == "grpc" else server.http_url
    async with AsyncStyleTransferClient(url, protocol=protocol) as client:
        task = asyncio.create_task(client.stylize(**photos, size=LONG, segment=False))
        await asyncio.to_thread(_wait, when)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("leaves", ["times out", "cancels its task"])
def test_an_http_client_that_leaves_stops_the_work(
    small: Server, photos: dict[str, Any], quick: Callable[[Server], None], leaves: str
) -> None:
    before = _levels(small)
    if leaves == "times out":
        with StyleTransferClient(small.http_url) as client, pytest.raises(RequestTimeout):
            client.stylize(**photos, size=LONG, segment=False, timeout=1.5)
    else:
        asyncio.run(_leave(small, "http", photos, lambda: _levels(small) > before))
    at_cancel = _levels(small) - before
    quick(small)
    begun = _levels(small) - before - LEVELS
    print(f"{begun:.0f} of {LEVELS} levels were begun, {at_cancel:.0f} before leaving")
    assert begun <= at_cancel + 1 < LEVELS


# --- the queue -------------------------------------------------------------------------------


def _refused_in_queue(server: Server) -> float:
    return _metric(server, "photoreal_errors_total", model="stylize", kind="deadline")


def _waiting(server: Server) -> float:
    return _metric(server, "photoreal_requests_waiting")


def test_a_request_beyond_the_queue_is_refused_at_once(
    small: Server, stylize: Callable[..., StylizeResult], photos: dict[str, Any]
) -> None:
    turned_away = {"model": "stylize", "outcome": "busy"}
    before = _metric(small, "photoreal_requests_total", **turned_away)
    results: list[StylizeResult] = []
    second = threading.Thread(
        target=lambda: results.append(stylize(small, **photos, size=16, timeout=60))
    )
    with _LongRequest(small, photos) as long:
        second.start()
        _wait(lambda: _waiting(small) == 1)
        for protocol in PROTOCOLS:
            url = small.grpc_url if protocol == "grpc" else small.http_url
            with (
                StyleTransferClient(url, protocol=protocol, retries=0) as client,
                pytest.raises(ServerUnavailable, match="is full; retry later"),
            ):
                client.stylize(**photos, size=16)
        assert not long.ended.is_set()  # nobody waited for it
    second.join(60)
    assert [result.image.size for result in results] == [(16, 16)]
    # The client tries again.
    assert _metric(small, "photoreal_requests_total", **turned_away) >= before + len(PROTOCOLS)


def test_a_waiting_request_begins_as_soon_as_the_one_before_ends(
    small: Server, stylize: Callable[..., StylizeResult], photos: dict[str, Any]
) -> None:
    """Triton's batcher would sleep for half a second in about half of the cases."""
    spans: list[tuple[float, float]] = []

    def request() -> None:
        result = stylize(small, **photos, size=16, timeout=60)
        ended = time.monotonic()
        spans.append((ended - result.report["seconds"]["total"], ended))

    for _ in range(8):
        pair = [threading.Thread(target=request) for _ in range(2)]
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join(60)
    spans.sort(key=lambda span: span[1])
    pauses = sorted(max(0.0, spans[k + 1][0] - spans[k][1]) for k in range(0, len(spans), 2))
    print("pauses between two requests in ms:", [round(1000 * pause) for pause in pauses])
    assert pauses[len(pauses) // 2] < 0.15


def test_time_in_the_queue_counts(
    small: Server, photos: dict[str, Any], quick: Callable[[Server], None]
) -> None:
    before = _levels(small)
    refused = _refused_in_queue(small)
    arguments = infer_arguments(
        tritonclient.http, build_inputs(**photos, size=16), ["IMAGE"], "waits", 0.3
    )
    with (
        _LongRequest(small, photos) as long,
        tritonclient.http.InferenceServerClient(small.http_url) as client,
    ):
        with pytest.raises(InferenceServerException, match="timeout expired") as caught:
            client.infer(**arguments)
        assert caught.value.status() == "503"
        assert not long.ended.is_set()
    assert _refused_in_queue(small) == refused + 1
    quick(small)
    assert _levels(small) - before < 2 * LEVELS


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_canceled_while_it_waits_is_never_begun(
    small: Server,
    photos: dict[str, Any],
    quick: Callable[[Server], None],
    protocol: Protocol,
) -> None:
    with _LongRequest(small, photos):
        asyncio.run(_leave(small, protocol, photos, lambda: _waiting(small) == 1))
        before = _levels(small)
    _wait(lambda: _waiting(small) == 0)
    quick(small)
    assert _levels(small) - before <= 2 + LEVELS  # of the long request and of the quick one
