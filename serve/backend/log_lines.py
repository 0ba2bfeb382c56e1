"""Log lines: how the models format them, and their conversion to JSON.

Models log through Triton's logger, so one stream holds their lines and the server's. This module
is imported in the model processes: standard library only.
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
"""Level letters of the server's log lines, and their names in JSON."""
NO_ID = "without-id"
"""Placeholder for the id of a request without one."""
_LONGEST_ID = 128

_HEADS = (
    # Formats of Triton (ISO8601), gRPC and OpenTelemetry.
    re.compile(r"\S{10}T\S{8}Z ([IWEFV]) +\d+ (\S+:\d+)\] *(.*)", re.S),
    re.compile(r"([IWEF])\d{4} [\d:.]+ +\d+ (\S+:\d+)\] *(.*)", re.S),
    re.compile(r"\[([IWED])\w+\] File: \S*?([^\s/]+:\d+) *(.*)", re.S),
)
_REQUEST = re.compile(r"(\w+): request (\S+): (.*)", re.S)


def shown_id(request_id: str) -> str:
    """Return a request's id as shown in the log and in errors, "" for none.

    Callers choose the ids: characters that could forge another line or field become "?".
    """
    return "".join(sign if "!" <= sign <= "~" else "?" for sign in request_id[:_LONGEST_ID])


def request_line(model: str, request_id: str, words: str) -> str:
    """Format a log line about a request to a model."""
    return f"{model}: request {shown_id(request_id) or NO_ID}: {words}"


def as_object(line: str) -> dict[str, Any] | None:
    """Parse a line of the server's log (format ISO8601) into fields; None for an empty line.

    `level` and `message` are always present; `source` is Triton's file and line; `model` and
    `request_id` are present if a model logged the line about a request. A line in an unknown format
    becomes the message, with the level "info".
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
    """Write one JSON object on one line, with the time (UTC) as its first field."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    out.write(json.dumps({"time": time, **fields}) + "\n")
    out.flush()


def rewrite(lines: Iterable[bytes], out: IO[str]) -> None:
    """Convert the lines of a server's output to JSON until it ends.

    A closed log does not stop the server: lines that cannot be written are dropped.
    """
    for line in lines:
        fields = as_object(line.decode(errors="replace").rstrip("\r\n"))
        if fields is not None:
            with contextlib.suppress(OSError, ValueError):  # ValueError: closed
                write_json(fields, out)


def rewrite_in_background(stream: IO[bytes], log: IO[bytes] | None) -> threading.Thread:
    """Convert a server's output to JSON in a thread, on `log` or standard error, until it ends."""

    def work() -> None:
        with stream:
            if log is None:
                rewrite(stream, sys.stderr)
            else:
                out = io.TextIOWrapper(log, encoding="utf-8", write_through=True)
                rewrite(stream, out)
                with contextlib.suppress(OSError, ValueError):  # ValueError: closed
                    out.detach()  # the log is closed by its owner

    thread = threading.Thread(target=work, name="server log", daemon=True)
    thread.start()
    return thread


def _unquoted(message: str) -> str:
    """Decode a message that Triton wrote as a JSON string; other messages are unchanged."""
    try:
        value = json.loads(message)
    except ValueError:
        return message
    return value if isinstance(value, str) else message
