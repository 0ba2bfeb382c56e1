"""Bytes that are no request, thrown at the ports of a server."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections import Counter

from photoreal.serve.launch.launcher import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""With which every HTTP/2 connection begins."""

_POST = b"POST /v2/models/stylize/infer HTTP/1.1\r\nHost: x\r\n"
_JSON = (
    b"{",
    b"[]",
    b"{}",
    b'{"inputs": 7}',
    b'{"inputs": [{"name": []}]}',
    b"\xff\0",
    b"[" * 9999,
)
_PATIENCE_S = 0.05


def throw_garbage(server: Server, seed: int, count: int) -> Counter[str]:
    """Make `count` connections to each port that send nonsense and hang up; tells of what kind.

    Some wait a moment for an answer, some close at once, some reset the connection.
    """
    rng = random.Random(seed)  # noqa: S311 (has to be repeatable)
    kinds: Counter[str] = Counter()
    settings = server.settings
    for port in (settings.http_port, settings.grpc_port):
        for _ in range(count):
            kind, data = _garbage(rng)
            kinds[kind] += 1
            _throw(rng, settings.host, port, data)
    return kinds


def _garbage(rng: random.Random) -> tuple[str, bytes]:
    body = rng.choice(_JSON)
    length = rng.choice((b"-1", b"99999999999", b"18446744073709551616", b"x", b""))
    choices = {
        "random bytes": rng.randbytes(rng.choice((1, 100, 10_000))),
        "half a request": (_POST + b"Content-Length: 100\r\n\r\n{")[: rng.randrange(1, 90)],
        "endless header": _POST + b"X: " + b"y" * rng.choice((9_000, 300_000)),
        "content length": _POST + b"Content-Length: " + length + b"\r\n\r\n{}",
        "chunks": _POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nxx",
        "no JSON": _POST + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        "header length": _POST
        + b"Inference-Header-Content-Length: %b\r\n" % length
        + b"Content-Length: 2\r\n\r\n{}",
        "preface": PREFACE + rng.randbytes(rng.choice((0, 9, 1000))),
        "frames": PREFACE + b"".join(_frame(rng) for _ in range(rng.randint(1, 50))),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(500),
        "line ends": b"\r\n" * 5000,
    }
    kind = rng.choice(list(choices))
    return kind, choices[kind]


def _frame(rng: random.Random) -> bytes:
    """An HTTP/2 frame of any kind with any flags, on any stream."""
    content = rng.randbytes(rng.choice((0, 4, 6, 50)))
    size = struct.pack(">I", rng.choice((len(content), 0, 2**24 - 1)))[1:]
    return size + bytes((rng.randrange(12), rng.randrange(256))) + rng.randbytes(4) + content


def _throw(rng: random.Random, host: str, port: int, data: bytes) -> None:
    with (
        socket.create_connection((host, port), timeout=_PATIENCE_S) as connection,
        contextlib.suppress(OSError),  # hung up on, or left waiting: both are fine
    ):
        way = rng.randrange(3)
        if way == 0:  # closing means a reset
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(data)
        if way == 1:
            connection.recv(4096)
