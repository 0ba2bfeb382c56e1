"""The lines of the log: how the models write them, and how they become JSON.

Models write through Triton's logger, so their lines and the server's come out of one stream.
This module is imported inside the models' processes: the standard library alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO, Any

LEVELS = {"I": "info", "W": "warning", "E": "error", "F": "critical", "V": "debug", "D": "debug"}
"""First letters in the server's lines, and the names that go into JSON."""
NO_ID = "without-id"
"""Stands for the id of a request that has none."""
_LONGEST_ID = 128

_HEADS = (
    # Triton's format ISO8601, gRPC's own, and OpenTelemetry's own.
    re.compile(r"\S{10}T\S{8}Z ([IWEFV]) +\d+ (\S+:\d+)\] *(.*)", re.S),
    re.compile(r"([IWEF])\d{4} [\d:.]+ +\d+ (\S+:\d+)\] *(.*)", re.S),
    re.compile(r"\[([IWED])\w+\] File: \S*?([^\s/]+:\d+) *(.*)", re.S),
)
_REQUEST = re.compile(r"(\w+): request (\S+): (.*)", re.S)


def shown_id(request_id: str) -> str:
    """A request's id as the log and errors show it, "" for none.

    Ids are the callers' own: signs that could pass for another line or field become "?".
    """
    return "".join(sign if "!" <= sign <= "~" else "?" for sign in request_id[:_LONGEST_ID])


def request_line(model: str, request_id: str, words: str) -> str:
    """A line about a request of a model."""
    return f"{model}: request {shown_id(request_id) or NO_ID}: {words}"


def as_object(line: str) -> dict[str, Any] | None:
    """The fields of a line of the server's (in its format ISO8601), or None for an empty one.

    A line of another form is information, and its own message.

    `level` and `message` are always there; `source` is Triton's file and line; `model` and
    `request_id` are there where a model told of a request.
    """
    message, fields = line, {"level": "info"}
    for head in _HEADS:
        if found := head.fullmatch(line):
            letter, source, message = found.groups()
            message, fields = _unquoted(message), {"level": LEVELS[letter], "source": source}
            break
    if not message.strip():
        return None
    about = _REQUEST.fullmatch(message)
    if about is not None:
        fields["model"] = about[1]
        if about[2] != NO_ID:
            fields["request_id"] = about[2]
        message = about[3]
    return {**fields, "message": message}


def write_json(fields: dict[str, Any], out: IO[str]) -> None:
    """Write one object as one line, with the time (UTC) before all."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    out.write(json.dumps({"time": time, **fields}) + "\n")
    out.flush()


def rewrite(lines: Iterable[bytes], out: IO[str]) -> None:
    """Write every line of a server's output as an object, until there are no more.

    An output that nobody reads any more does not stop the server: its lines are dropped.
    """
    for line in lines:
        fields = as_object(line.decode(errors="replace").rstrip("\r\n"))
        if fields is not None:
            with contextlib.suppress(OSError, ValueError):  # ValueError: closed
                write_json(fields, out)


def rewrite_in_background(stream: IO[bytes], log: IO[bytes] | None) -> threading.Thread:
    """Rewrite a server's output to `log`, or to standard error, until the server has ended."""

    def work() -> None:
        with stream:
            if log is None:
                rewrite(stream, sys.stderr)
            else:
                out = io.TextIOWrapper(log, encoding="utf-8", write_through=True)
                rewrite(stream, out)
                with contextlib.suppress(OSError, ValueError):  # ValueError: closed
                    out.detach()  # the log is its owner's to close

    thread = threading.Thread(target=work, name="server log", daemon=True)
    thread.start()
    return thread


def _unquoted(message: str) -> str:
    """Triton writes messages as JSON strings, but not all of them."""
    try:
        value = json.loads(message)
    except ValueError:
        return message
    return value if isinstance(value, str) else message
