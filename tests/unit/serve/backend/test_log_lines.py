"""Lines of a real tritonserver's output, and the objects that become of them."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from photoreal.serve.backend.log_lines import (
    as_object,
    request_line,
    rewrite,
    rewrite_in_background,
    shown_id,
)

HEAD = "2026-11-22T23:39:41Z"
CASES: dict[str, tuple[str, dict[str, Any] | None]] = {
    "quoted": (
        f'{HEAD} I 30820 model_lifecycle.cc:472] "loading: wct2:1"',
        {"level": "info", "source": "model_lifecycle.cc:472", "message": "loading: wct2:1"},
    ),
    "escaped": (
        f'{HEAD} E 30820 adapter.py:79] "stylize: request id-1: Traceback:\\n  \\"a\\"\\n"',
        {
            "level": "error",
            "source": "adapter.py:79",
            "model": "stylize",
            "request_id": "id-1",
            "message": 'Traceback:\n  "a"\n',
        },
    ),
    "a request without an id": (
        f'{HEAD} I 7 adapter.py:70] "wct2: request without-id: answered in 1.250 s"',
        {
            "level": "info",
            "source": "adapter.py:70",
            "model": "wct2",
            "message": "answered in 1.250 s",
        },
    ),
    "not quoted": (
        f"{HEAD} W 7 metrics.cc:798] DCGM unable to start",
        {"level": "warning", "source": "metrics.cc:798", "message": "DCGM unable to start"},
    ),
    "half a sign": (
        f'{HEAD} E 7 a.cc:1] "\\ud800 and \u00e4"',
        {"level": "error", "source": "a.cc:1", "message": "\ud800 and \u00e4"},
    ),
    "gRPC's own": (
        "E1122 23:57:04.876331965    9157 ssl_transport_security.cc:1420]       Handshake failed.",
        {
            "level": "error",
            "source": "ssl_transport_security.cc:1420",
            "message": "Handshake failed.",
        },
    ),
    "OpenTelemetry's own": (
        "[Error] File: /tmp/build/exporters/otlp_http_exporter.cc:122 Export 9 spans error: 1",
        {
            "level": "error",
            "source": "otlp_http_exporter.cc:122",
            "message": "Export 9 spans error: 1",
        },
    ),
    "no head": ("Signal (15) received.", {"level": "info", "message": "Signal (15) received."}),
    "a number for a message": (
        f"{HEAD} I 7 a.cc:1] 17",
        {"level": "info", "source": "a.cc:1", "message": "17"},
    ),
    "a head alone": (f"{HEAD} I 30820 server.cc:604] ", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize("case", CASES)
def test_a_line_becomes_an_object(case: str) -> None:
    line, fields = CASES[case]
    assert as_object(line) == fields


def test_ids_cannot_pass_for_anything_else() -> None:
    forged = 'x: refused\n2026-11-22T23:39:41Z E 1 a.cc:1] "forged"'
    line = request_line("stylize", forged, "answered")
    assert "\n" not in line
    fields = as_object(f"{HEAD} I 7 adapter.py:70] {json.dumps(line)}")
    assert fields is not None
    assert fields["message"] == "answered"
    assert " " not in fields["request_id"]
    assert len(shown_id("x" * 1000)) == 128
    assert shown_id("") == ""


def test_every_line_is_one_object_with_a_time() -> None:
    lines = [f"{line}\n".encode() for line, _ in CASES.values()] + [b"\xff\xfe broken\r\n"]
    stream = io.BytesIO()
    with io.TextIOWrapper(stream, encoding="ascii") as out:  # as standard error may be
        rewrite(lines, out)
        written = [json.loads(line) for line in stream.getvalue().splitlines()]
    wanted = [fields for _, fields in CASES.values() if fields is not None]
    assert len(written) == len(wanted) + 1
    for one in written:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one.pop("time"))
    assert written[:-1] == wanted
    assert written[-1]["message"].endswith("broken")


def test_the_output_is_read_to_its_end_though_nobody_takes_the_lines(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (tmp_path / "log").open("wb") as log:
        thread = rewrite_in_background(os.fdopen(reading, "rb"), log)
        os.write(writing, b"one\n")
        while not (tmp_path / "log").read_bytes():
            pass
        log.close()
        for _ in range(100):
            os.write(writing, b"x" * 4096 + b"\n")  # far beyond what a pipe holds
        os.close(writing)
        thread.join(10)
    assert not thread.is_alive()
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line)["message"] == "one"
