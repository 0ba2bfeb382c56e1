"""The four transports against sockets that misbehave, and the sense made of statuses."""

import asyncio
import json
import socket
import threading
import time
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from photoreal.client import (
    AsyncStyleTransferClient,
    InvalidInput,
    RequestRejected,
    RequestTimeout,
    ServerFailed,
    ServerUnavailable,
    StyleTransferClient,
)
from photoreal.client._transport.base import Exchange
from photoreal.client.address import Address, parse_address
from photoreal.client.errors import ServerBusy
from photoreal.contract import STYLIZE

from ..conftest import PHOTO, REPORT, answer, png

WAYS = [(kind, protocol) for kind in ("sync", "async") for protocol in ("http", "grpc")]
HTTP_WAYS = ["sync", "async"]


def stylize(kind, protocol, url, timeout=5.0):
    if kind == "sync":
        with StyleTransferClient(url, protocol=protocol, timeout=timeout, retries=0) as client:
            return client.stylize(b"content", b"style", request_id="7")

    async def call():
        async with AsyncStyleTransferClient(
            url, protocol=protocol, timeout=timeout, retries=0
        ) as client:
            return await client.stylize(b"content", b"style", request_id="7")

    return asyncio.run(call())


def ready(kind, protocol, url, timeout=5.0):
    if kind == "sync":
        with StyleTransferClient(url, protocol=protocol) as client:
            return client.ready(timeout)

    async def call():
        async with AsyncStyleTransferClient(url, protocol=protocol) as client:
            return await client.ready(timeout)

    return asyncio.run(call())


def http(status, body, **headers):
    lines = [f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def http_error(status, message):
    return http(status, json.dumps({"error": message}).encode())


def http_answer(outputs):
    """Triton's answer in its binary form."""
    described, data = [], b""
    for name, tensor in outputs.items():
        raw = serialize_byte_tensor(tensor).item()
        described.append(
            {
                "name": name,
                "datatype": "BYTES",
                "shape": list(tensor.shape),
                "parameters": {"binary_data_size": len(raw)},
            }
        )
        data += raw
    header = json.dumps({"model_name": STYLIZE.name, "outputs": described}).encode()
    return http(200, header + data, Inference_Header_Content_Length=len(header))


@pytest.fixture
def proxy(serve_bytes, monkeypatch):
    """The requests that come to a proxy named in the environment."""
    url = f"http://{serve_bytes(http(502, b''))}"
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, url)
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    return serve_bytes.requests


@pytest.mark.parametrize(("kind", "protocol"), WAYS)
def test_a_proxy_is_not_asked_for_this_machine(kind, protocol, proxy, closed_url):
    _, port = closed_url.split(":")
    with pytest.raises(ServerUnavailable):
        stylize(kind, protocol, f"localhost:{port}", timeout=2.0)
    assert not proxy


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_grpc_asks_a_proxy_for_other_machines(kind, proxy):
    with pytest.raises((ServerUnavailable, RequestTimeout)):
        stylize(kind, "grpc", "triton.invalid:8001", timeout=2.0)
    assert any(request.startswith(b"CONNECT triton.invalid:8001") for request in proxy)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("localhost", True),
        ("127.0.0.1:8001", True),
        ("127.8.8.8:8001", True),
        ("grpcs://[::1]:8001", True),
        ("localhost.example.com:8001", False),
        ("192.0.2.1:8001", False),
        ("[2001:db8::1]:8001", False),
    ],
)
def test_which_addresses_are_this_machine_s(url, local):
    assert parse_address(url, "grpc").is_loopback is local


@pytest.mark.parametrize(("kind", "protocol"), WAYS)
class TestNoAnswer:
    def test_refused(self, kind, protocol, closed_url):
        with pytest.raises(ServerUnavailable, match="connection refused") as caught:
            stylize(kind, protocol, closed_url)
        assert caught.value.request_id == "7"
        assert closed_url in str(caught.value)

    def test_silence(self, kind, protocol, silent_url):
        started = time.monotonic()
        with pytest.raises(RequestTimeout, match=r"0\.3 seconds") as caught:
            stylize(kind, protocol, silent_url, timeout=0.3)
        assert time.monotonic() - started < 5
        assert caught.value.request_id == "7"

    def test_dropped(self, kind, protocol, serve_bytes):
        with pytest.raises(ServerUnavailable):
            stylize(kind, protocol, serve_bytes(b""))

    def test_unknown_host(self, kind, protocol):
        # Where no name server can be reached either, time may run out first.
        with pytest.raises((ServerUnavailable, RequestTimeout), match="no-such-host"):
            stylize(kind, protocol, "no-such-host.invalid:8000")

    def test_plain_server_behind_a_tls_address(self, kind, protocol, serve_bytes):
        url = serve_bytes(b"HTTP/1.1 400 no\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(ServerUnavailable):
            stylize(kind, protocol, f"https://{url}")

    def test_is_not_ready(self, kind, protocol, closed_url, silent_url):
        assert not ready(kind, protocol, closed_url)
        assert not ready(kind, protocol, silent_url, timeout=0.2)


@pytest.mark.parametrize("kind", HTTP_WAYS)
class TestHttpAnswers:
    def test_success(self, kind, serve_bytes):
        result = stylize(kind, "http", serve_bytes(http_answer(answer())))
        assert result.png == png(PHOTO)
        assert result.report == REPORT
        request = serve_bytes.requests[0]
        assert request.startswith(b"POST /v2/models/stylize/infer HTTP/1.1")
        assert b'"id":"7"' in request
        assert request.endswith(b"\x07\x00\x00\x00content\x05\x00\x00\x00style")

    def test_large_photo(self, kind, serve_bytes):
        url, photo = serve_bytes(http_answer(answer())), bytes(3 << 20)
        with StyleTransferClient(url) as client:
            if kind == "sync":
                client.stylize(photo, b"style")
            else:
                asyncio.run(AsyncStyleTransferClient(url).stylize(photo, b"style"))
        assert photo + b"\x05\x00\x00\x00style" in serve_bytes.requests[0]

    def test_base_path(self, kind, serve_bytes):
        stylize(kind, "http", f"http://{serve_bytes(http_answer(answer()))}/base/")
        assert serve_bytes.requests[0].startswith(b"POST /base/v2/models/stylize/infer ")

    def test_rejected(self, kind, serve_bytes):
        url = serve_bytes(http_error(400, "alpha is 2.0; expected 0 to 1."))
        with pytest.raises(RequestRejected) as caught:
            stylize(kind, "http", url)
        assert str(caught.value) == "alpha is 2.0; expected 0 to 1."
        assert caught.value.request_id == "7"

    def test_failed_without_the_traceback(self, kind, serve_bytes):
        url = serve_bytes(http_error(500, "It broke.\n\nAt:\n  /some/model.py(7): execute\n"))
        with pytest.raises(ServerFailed) as caught:
            stylize(kind, "http", url)
        assert str(caught.value) == "It broke."

    @pytest.mark.parametrize("status", [404, 503])
    def test_model_is_not_there(self, kind, status, serve_bytes):
        url = serve_bytes(http_error(status, "Request for unknown model"))
        with pytest.raises(ServerUnavailable, match="unknown model"):
            stylize(kind, "http", url)

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
            stylize(kind, "http", serve_bytes(reply))

    def test_answer_breaks_off(self, kind, serve_bytes):
        reply = http_answer(answer())
        with pytest.raises((ServerFailed, ServerUnavailable)):
            stylize(kind, "http", serve_bytes(reply[: len(reply) // 2]))

    @pytest.mark.parametrize(("status", "expected"), [(200, True), (400, False)])
    def test_ready(self, kind, status, expected, serve_bytes):
        assert ready(kind, "http", serve_bytes(http(status, b""))) is expected


def test_whole_call_is_timed_not_each_read():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                try:
                    for _ in range(100):
                        connection.sendall(b"x")
                        time.sleep(0.05)
                except OSError:  # the client has hung up
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        with pytest.raises(RequestTimeout):
            stylize("sync", "http", f"127.0.0.1:{listener.getsockname()[1]}", timeout=0.4)
        assert time.monotonic() - started < 2
        thread.join(10)


def test_threads_share_a_client_and_leave_nothing_behind(serve_bytes):
    url = serve_bytes(http_answer(answer()))
    results = []
    with StyleTransferClient(url, timeout=10) as client:

        def call():
            results.append(client.stylize(PHOTO, PHOTO).png)

        def round_of_threads():
            threads = [threading.Thread(target=call) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)

        round_of_threads()
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        round_of_threads()
        assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert results == [png(PHOTO)] * 12


def test_one_client_in_several_loops(serve_bytes):
    client = AsyncStyleTransferClient(serve_bytes(http_answer(answer())))
    for _ in range(2):
        assert asyncio.run(client.stylize(PHOTO, PHOTO)).png == png(PHOTO)
    asyncio.run(client.close())


def test_address_is_read_at_once():
    for client in (StyleTransferClient, AsyncStyleTransferClient):
        with pytest.raises(InvalidInput):
            client("grpc://localhost:8001", protocol="http")


@pytest.mark.parametrize(
    ("status", "message", "kind", "sentence"),
    [
        ("StatusCode.INVALID_ARGUMENT", "size is 0.", RequestRejected, "size is 0."),
        ("StatusCode.INTERNAL", "It broke.\nAt: x.py", ServerFailed, "It broke."),
        ("StatusCode.UNKNOWN", None, ServerFailed, "The server failed without an error message."),
        ("StatusCode.RESOURCE_EXHAUSTED", "Too large", ServerFailed, "Too large"),
        ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", RequestTimeout, "9 seconds"),
        ("StatusCode.NOT_FOUND", "no such model", ServerUnavailable, "no such model"),
        ("StatusCode.UNAVAILABLE", "", ServerUnavailable, "at host:1."),
        (
            "StatusCode.UNAVAILABLE",
            "[request id: 7] Exceeds maximum queue size",
            ServerBusy,
            "is full; retry later.",
        ),
        (
            "503",
            "The request was stopped after 2 s, the timeout of the request.",
            RequestTimeout,
            "stopped after 2 s",
        ),
        (
            "503",
            "Request timeout expired",
            RequestTimeout,
            "timed out in the queue of the server at host:1",
        ),
        (
            "StatusCode.UNAVAILABLE",
            "failed to connect; last error: X: Failed parsing HTTP/2 (frame)",
            ServerUnavailable,
            "does not speak gRPC",
        ),
        (
            "500",
            "Failed to process the request(s): Stub process 'stylize_0_0' is not healthy.",
            ServerUnavailable,
            "a model has died and is being restarted",
        ),
        (
            "StatusCode.INTERNAL",
            "Stub process 'stylize_0_0' is not healthy.",
            ServerUnavailable,
            "a model has died and is being restarted",
        ),
        (None, "client side", ServerFailed, "client side"),
    ],
)
def test_statuses(status, message, kind, sentence):
    exchange = Exchange(Address("host:1", "grpc"), timeout=9.0, request_id="7")
    details = None if str(status).isdigit() else "details"
    error = exchange.answered(InferenceServerException(message, status, details))
    assert type(error) is kind
    assert sentence in str(error)
    assert "\n" not in str(error)
    assert error.request_id == "7"
