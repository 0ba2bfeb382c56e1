"""Photos, answers, clients of both kinds, and servers and transports that misbehave."""

import asyncio
import json
import re
import signal
import socket
import socketserver
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import serialize_byte_tensor

from photoreal.client import AsyncStyleTransferClient, StyleTransferClient, patience
from photoreal.client._transport import http as http_transport
from photoreal.client._transport import retry
from photoreal.contract import STYLIZE
from tests.shared import encoded as png

KINDS = ["sync", "async"]
REPORT = {
    "regions": "segmenter",
    "match": "nearest",
    "pairs": [{"content": "sky", "style": "sky", "share": 0.6}],
    "unstyled": ["sign"],
    "height": 4,
    "width": 6,
    "seconds": {"decode": 0.01, "segment": 0.2, "transfer": 1.5, "encode": 0.03, "total": 1.74},
}
PHOTO = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
LABELS = np.array([[0, 1, 2], [25, 150, 255]], dtype=np.uint8)


def answer(**changes):
    """The output tensors of the model, with some of them replaced, or left out when None."""
    values = {
        "IMAGE": png(PHOTO),
        "CONTENT_LABELS": png(LABELS),
        "STYLE_LABELS": png(LABELS.T.copy()),
        "REPORT": json.dumps(REPORT).encode(),
        **changes,
    }
    return {
        name: np.array([value], dtype=object) for name, value in values.items() if value is not None
    }


def http(status, body=b"", **headers):
    """An answer over HTTP; a dict is sent as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def http_answer(**changes):
    """The model's answer in Triton's binary form."""
    described, data = [], b""
    for name, tensor in answer(**changes).items():
        raw = serialize_byte_tensor(tensor).item()
        size = {"binary_data_size": len(raw)}
        shape = list(tensor.shape)
        described += [{"name": name, "datatype": "BYTES", "shape": shape, "parameters": size}]
        data += raw
    header = json.dumps({"model_name": STYLIZE.name, "outputs": described}).encode()
    return http(200, header + data, Inference_Header_Content_Length=len(header))


def call(kind, url=None, method="stylize", *, wait=None, **options):
    """What a method of a client, sync or async, gives; `wait` is the timeout of `ready`."""
    arguments: dict[str, Any] = {"content": b"content", "style": b"style", "request_id": "7"}
    if method == "ready":
        arguments = {"timeout": wait or 5.0}
    if kind == "sync":
        with StyleTransferClient(url, **options) as client:
            return getattr(client, method)(**arguments)

    async def run():
        async with AsyncStyleTransferClient(url, **options) as client:
            return await getattr(client, method)(**arguments)

    return asyncio.run(run())


def connect_over(transport):
    """Makes the clients of a command, over a transport without a network."""
    return lambda url, *, timeout, **_: StyleTransferClient(
        transport=transport, timeout=timeout, retries=0
    )


class FakeTransport:
    """Answers like the model, or raises; remembers what it was asked."""

    def __init__(self, outputs: Any = None, error: Any = None) -> None:
        self.outputs = answer() if outputs is None else outputs
        self.error = error
        self.calls: list[Any] = []
        self.closed = 0

    def infer(self, inputs, outputs, request_id, timeout):
        self.calls.append((inputs, list(outputs), request_id, timeout))
        if self.error is not None:
            raise self.error
        return self.outputs

    def ready(self, timeout):
        if self.error is not None:
            raise self.error
        return True

    def close(self):
        self.closed += 1

    @property
    def inputs(self):
        return {name: tensor.tolist()[0] for name, tensor in self.calls[-1][0].items()}


class AsyncFakeTransport(FakeTransport):
    async def infer(self, *arguments):
        return super().infer(*arguments)

    async def ready(self, timeout):
        return super().ready(timeout)

    async def close(self):
        super().close()


@pytest.fixture(autouse=True)
def _signals_are_handled_as_before():
    """Commands change it for good; servers that later tests start would inherit it."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.fixture
def transport():
    return FakeTransport()


@pytest.fixture
def quick(monkeypatch):
    """Almost no wait before the next attempt, or for the response to a cancel request."""
    monkeypatch.setattr(http_transport, "CANCEL_TIMEOUT", 0.1)
    for name in ("FIRST_WAIT_S", "JITTER_S"):
        monkeypatch.setattr(retry, name, 0.001)
    for name in ("_SHORTEST_S", "_LONGEST_S"):
        monkeypatch.setattr(patience, name, 0.001)


@pytest.fixture
def photo_file(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(png(PHOTO))
    return path


@contextmanager
def serving(handle):
    """Address of a server that hands each connection to a function, in a thread of its own."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with suppress(OSError):  # the client hangs up
                handle(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def silent_url():
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed_url():
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def serve_bytes():
    """Makes a server that reads each request, answers with fixed bytes and hangs up.

    Of several answers each is given once, and the last one from then on.
    """
    with ExitStack() as servers:

        def serve(*replies):
            left = list(replies)

            def answer_one(connection):
                connection.settimeout(5)
                serve.requests.append(read_request(connection))
                connection.sendall(left.pop(0) if len(left) > 1 else left[0])

            return servers.enter_context(serving(answer_one))

        serve.requests = []
        yield serve


def read_request(connection):
    """A whole HTTP request, or the first piece of anything else."""
    data = connection.recv(1 << 20)
    while match := re.search(rb"\r\ncontent-length: (\d+).*?\r\n\r\n", data, re.I | re.S):
        if len(data) >= match.end() + int(match[1]):
            break
        data += connection.recv(1 << 20)
    return data
