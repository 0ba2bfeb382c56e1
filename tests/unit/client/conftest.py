"""Photos, answers and a transport without a network."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

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


def png(array):
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


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


class FakeTransport:
    """Answers like the model, or raises; remembers what it was asked."""

    def __init__(self, outputs=None, error=None):
        self.outputs = answer() if outputs is None else outputs
        self.error = error
        self.calls = []
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


@pytest.fixture
def transport():
    return FakeTransport()


@pytest.fixture
def photo_file(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(png(PHOTO))
    return path


@pytest.fixture
def closed_url() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def silent_url() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def serve_bytes():
    """Makes a server that reads each request, answers with fixed bytes and hangs up.

    Of several answers each is given once, and the last one from then on.
    """
    listeners, threads, requests = [], [], []

    def serve(*replies: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=_answer_all, args=(listener, list(replies), requests))
        thread.start()
        listeners.append(listener)
        threads.append(thread)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    serve.requests = requests
    yield serve
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(5)


def _answer_all(listener, replies, requests):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # shut down
            return
        with connection:
            connection.settimeout(5)
            requests.append(read_request(connection))
            connection.sendall(replies.pop(0) if len(replies) > 1 else replies[0])


def read_request(connection):
    """A whole HTTP request, or the first piece of anything else."""
    data = connection.recv(1 << 20)
    while match := re.search(rb"\r\ncontent-length: (\d+).*?\r\n\r\n", data, re.I | re.S):
        if len(data) >= match.end() + int(match[1]):
            break
        data += connection.recv(1 << 20)
    return data
