"""Clients that take their time: their requests arrive, or their answers leave, at a trickle."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus

from hardening.garbage import PREFACE
from hardening.wire import Tensor, http_outputs, http_request
from photoreal.contract import STYLIZE
from photoreal.serve.launch.launcher import Server

_BUFFER = 2048
_PIECE = 512
_PAUSE_S = 0.002
_TIMEOUT_S = 60.0


class SlowClient:
    """One request over a connection of its own, in two halves with a long pause between.

    Args:
        server: where to send it.
        tensors: the inputs.
        sends_slowly: the pause is in the middle of the request; otherwise before the answer is
            read.
    """

    def __init__(self, server: Server, tensors: Sequence[Tensor], *, sends_slowly: bool) -> None:
        body, headers = http_request(tensors)
        lines = [f"POST /v2/models/{STYLIZE.name}/infer HTTP/1.1", "Host: slow"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        data = "\r\n".join(lines).encode() + body
        now = len(data) // 2 if sends_slowly else len(data)
        self._rest = data[now:]
        self._socket = socket.socket()
        # So little room at this end that the server has to wait with what does not fit.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.connect((server.settings.host, server.settings.http_port))
        self._socket.sendall(data[:now])

    def finish(self) -> dict[str, bytes]:
        """Send and read what is left, bit by bit; returns the outputs.

        Raises ValueError when the answer is none.
        """
        for at in range(0, len(self._rest), _PIECE):
            self._socket.sendall(self._rest[at : at + _PIECE])
            time.sleep(_PAUSE_S)
        response = http.client.HTTPResponse(self._socket, method="POST")
        response.begin()
        content = b""
        while piece := response.read(_PIECE):
            content += piece
            time.sleep(_PAUSE_S)
        if response.status != HTTPStatus.OK:
            raise ValueError(f"A slow client got {response.status}: {content.decode()}")
        return http_outputs(content, response.headers)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@contextmanager
def slow_clients(
    server: Server, tensors: Sequence[Tensor], count: int
) -> Iterator[list[SlowClient]]:
    """Hold `count` clients of each kind open, and as many gRPC connections that say nothing."""
    settings = server.settings
    with ExitStack() as stack:
        for _ in range(count):
            idle = socket.create_connection((settings.host, settings.grpc_port), _TIMEOUT_S)
            stack.callback(idle.close)
            idle.sendall(PREFACE)
        clients = []
        for number in range(2 * count):
            clients.append(SlowClient(server, tensors, sends_slowly=bool(number % 2)))
            stack.callback(clients[-1].close)
        yield clients
