"""The four transports against sockets that misbehave, and what statuses mean."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException

from photoreal.client import AsyncStyleTransferClient, InvalidInput, StyleTransferClient
from photoreal.client._transport.base import Exchange
from photoreal.client.address import Address
from photoreal.client.errors import (
    AccessDenied,
    RequestRejected,
    RequestTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnavailable,
)

from ..conftest import KINDS, PHOTO, REPORT, call, http, http_answer, png, serving

WAYS = [(kind, protocol) for kind in KINDS for protocol in ("http", "grpc")]
WHOLE = http_answer()
STOPPING = http(503, {"error": "The server is stopping."})


@pytest.fixture
def proxy(serve_bytes, monkeypatch):
    """The requests that come to a proxy named in the environment."""
    url = f"http://{serve_bytes(http(502))}"
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, url)
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    return serve_bytes.requests


@pytest.mark.parametrize(("kind", "protocol"), WAYS)
def test_a_proxy_is_not_asked_for_this_machine(kind, protocol, proxy, closed_url):
    with pytest.raises(ServerUnavailable):
        call(kind, closed_url.replace("127.0.0.1", "localhost"), protocol=protocol, retries=0)
    assert not proxy


@pytest.mark.parametrize("kind", KINDS)
def test_grpc_asks_a_proxy_for_other_machines(kind, proxy):
    with pytest.raises((ServerUnavailable, RequestTimeout)):
        call(kind, "triton.invalid:8001", protocol="grpc", timeout=2.0, retries=0)
    assert any(request.startswith(b"CONNECT triton.invalid:8001") for request in proxy)


@pytest.mark.parametrize(("kind", "protocol"), WAYS)
@pytest.mark.usefixtures("quick")
class TestNoAnswer:
    def test_refused(self, kind, protocol, closed_url):
        with pytest.raises(ServerUnavailable, match=f"{closed_url}.*refused.*3 times") as caught:
            call(kind, closed_url, protocol=protocol)
        assert caught.value.request_id == "7"

    def test_silence(self, kind, protocol, silent_url):
        started = time.monotonic()
        with pytest.raises(RequestTimeout, match=r"0\.3 seconds") as caught:
            call(kind, silent_url, protocol=protocol, timeout=0.3)
        assert time.monotonic() - started < 5
        assert caught.value.request_id == "7"

    def test_dropped(self, kind, protocol, serve_bytes):
        with pytest.raises(ServerUnavailable):
            call(kind, serve_bytes(b""), protocol=protocol, retries=0)

    def test_unknown_host(self, kind, protocol):
        # Where no name server can be reached either, time may run out first.
        with pytest.raises((ServerUnavailable, RequestTimeout), match="no-such-host"):
            call(kind, "no-such-host.invalid:8000", protocol=protocol, timeout=5.0, retries=0)

    def test_plain_server_behind_a_tls_address(self, kind, protocol, serve_bytes):
        with pytest.raises(ServerUnavailable):
            call(kind, f"https://{serve_bytes(http(400))}", protocol=protocol, retries=0)

    def test_is_not_ready(self, kind, protocol, closed_url, silent_url):
        assert not call(kind, closed_url, "ready", protocol=protocol)
        assert not call(kind, silent_url, "ready", protocol=protocol, wait=0.2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("quick")
class TestHttpAnswers:
    def test_success_below_a_base_path(self, kind, serve_bytes):
        result = call(kind, f"http://{serve_bytes(WHOLE)}/base/")
        assert (result.png, result.report) == (png(PHOTO), REPORT)
        request = serve_bytes.requests[0]
        assert request.startswith(b"POST /base/v2/models/stylize/infer HTTP/1.1")
        assert b'"id":"7"' in request
        assert request.endswith(b"\x07\x00\x00\x00content\x05\x00\x00\x00style")

    def test_large_photo(self, kind, serve_bytes):
        url, photo = serve_bytes(WHOLE), bytes(3 << 20)
        if kind == "sync":
            StyleTransferClient(url).stylize(photo, b"style")
        else:
            asyncio.run(AsyncStyleTransferClient(url).stylize(photo, b"style"))
        assert photo + b"\x05\x00\x00\x00style" in serve_bytes.requests[0]

    def test_another_attempt_gets_the_answer(self, kind, serve_bytes):
        url = serve_bytes(b"", WHOLE[:200], STOPPING, WHOLE)
        assert call(kind, url, retries=3).png == png(PHOTO)
        assert len(serve_bytes.requests) == 4

    @pytest.mark.parametrize(
        ("status", "message", "error", "sentence", "attempts"),
        [
            (400, "alpha is 2.0.", RequestRejected, r"^alpha is 2\.0\.$", 1),
            (500, "It broke.\n\nAt:\n  /some/model.py(7)\n", ServerFailed, r"^It broke\.$", 1),
            (404, "Request for unknown model", ServerUnavailable, "unknown model", 1),
            (503, "Request for unknown model", ServerUnavailable, "unknown model", 3),
        ],
    )
    def test_refusal(self, kind, status, message, error, sentence, attempts, serve_bytes):
        with pytest.raises(error, match=sentence) as caught:
            call(kind, serve_bytes(http(status, {"error": message})))
        assert type(caught.value) is error
        assert caught.value.request_id == "7"
        assert len(serve_bytes.requests) == attempts

    @pytest.mark.parametrize(
        "reply",
        [
            http(404, b"<html>"),
            http(200, b"<html>"),
            http(200, b"{}"),
            http(200, b"{}", Inference_Header_Content_Length=2),
            http(200, b"{}", Inference_Header_Content_Length="x"),
            b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n\r\n",  # a gRPC port
        ],
    )
    def test_something_else_answers(self, kind, reply, serve_bytes):
        with pytest.raises(ServerFailed):
            call(kind, serve_bytes(reply))

    def test_answer_breaks_off(self, kind, serve_bytes):
        with pytest.raises((ServerFailed, ServerUnavailable)):
            call(kind, serve_bytes(WHOLE[: len(WHOLE) // 2]), retries=0)

    @pytest.mark.parametrize(("status", "expected"), [(200, True), (400, False)])
    def test_ready(self, kind, status, expected, serve_bytes):
        assert call(kind, serve_bytes(http(status)), "ready") is expected


@pytest.mark.usefixtures("quick")
def test_whole_call_is_timed_not_each_read():
    def drip(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    started = time.monotonic()
    with serving(drip) as url, pytest.raises(RequestTimeout):
        call("sync", url, timeout=0.4)
    assert time.monotonic() - started < 2


def test_threads_share_a_client_and_leave_nothing_behind(serve_bytes):
    results = []
    with StyleTransferClient(serve_bytes(WHOLE), timeout=10) as client:

        def run_threads():
            work = lambda: results.append(client.stylize(PHOTO, PHOTO).png)  # noqa: E731
            threads = [threading.Thread(target=work) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)

        run_threads()
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        run_threads()
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert results == [png(PHOTO)] * 12


def test_one_client_in_several_loops(serve_bytes):
    client = AsyncStyleTransferClient(serve_bytes(WHOLE))
    for _ in range(2):
        assert asyncio.run(client.stylize(PHOTO, PHOTO)).png == png(PHOTO)
    asyncio.run(client.close())


@pytest.mark.parametrize("client", [StyleTransferClient, AsyncStyleTransferClient])
def test_address_is_read_at_once(client):
    with pytest.raises(InvalidInput):
        client("grpc://localhost:8001", protocol="http")


BROKEN_HTTP2 = "failed to connect; last error: X: Failed parsing HTTP/2 (frame)"
DEAD_STUB = "Failed to process: Stub process 'stylize_0_0' is not healthy."
RESTRICTED = "This API is restricted, expecting header 'api-key'"


@pytest.mark.parametrize(
    ("status", "message", "kind", "words", "transient"),
    [
        ("INVALID_ARGUMENT", "size is 0.", RequestRejected, "size is 0.", None),
        ("INTERNAL", "It broke.\nAt: x.py", ServerFailed, "It broke.", None),
        ("UNKNOWN", None, ServerFailed, "server failed", None),
        ("RESOURCE_EXHAUSTED", "Too large", ServerFailed, "Too large", None),
        (None, "client side", ServerFailed, "client side", None),
        ("401", "<html>", AccessDenied, "API key", None),
        ("403", RESTRICTED, AccessDenied, "at host:1", None),
        ("PERMISSION_DENIED", "no", AccessDenied, "API key", None),
        ("UNAUTHENTICATED", "no", AccessDenied, "API key", None),
        ("UNAVAILABLE", RESTRICTED.replace("API", "protocol"), AccessDenied, "API key", None),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", RequestTimeout, "9 seconds", None),
        ("503", "The request was stopped after 2 s, .", RequestTimeout, "after 2 s", None),
        ("503", "Request timeout expired", RequestTimeout, "host:1", None),
        ("UNAVAILABLE", "[id] Exceeds maximum queue size", ServerBusy, "host:1", True),
        ("503", "The server is stopping.", ServerUnavailable, "stopping", True),
        ("UNAVAILABLE", "Socket closed", ServerUnavailable, "Socket closed", True),
        ("UNAVAILABLE", "", ServerUnavailable, "at host:1.", True),
        ("UNAVAILABLE", BROKEN_HTTP2, ServerUnavailable, "does not speak gRPC", False),
        ("CANCELLED", "CANCELLED", ServerUnavailable, "cancel", True),
        ("500", DEAD_STUB, ServerUnavailable, "died", True),
        ("INTERNAL", DEAD_STUB, ServerUnavailable, "died", True),
        ("NOT_FOUND", "unknown model: 'x' is not found", ServerUnavailable, "not found", False),
        ("NOT_FOUND", "'x' has no available versions", ServerUnavailable, "no available", True),
        ("404", "'x' has no available versions", ServerUnavailable, "no available", True),
    ],
)
def test_statuses(status, message, kind, words, transient):
    over_http = status is None or status.isdigit()
    given = InferenceServerException(
        message,
        status if over_http else f"StatusCode.{status}",
        None if over_http and message != "<html>" else "details",
    )
    error = Exchange(Address("host:1", "grpc"), timeout=9.0, request_id="7").answered(given)
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)
    assert error.request_id == "7"
    assert getattr(error, "transient", None) is transient
