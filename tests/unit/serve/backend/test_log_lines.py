"""Lines of a real tritonserver's output, and the objects that become of them."""

import io
import json
import os
import re

import pytest

from photoreal.serve.backend.log_lines import (
    as_object,
    request_line,
    rewrite,
    rewrite_in_background,
    shown_id,
)

HEAD = "2026-11-22T23:39:41Z"
CASES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "quoted": (
        f'{HEAD} I 30820 model_lifecycle.cc:472] "loading: wct2:1"',
        ("info", "loading: wct2:1", "model_lifecycle.cc:472"),
    ),
    "escaped": (
        f'{HEAD} E 30820 adapter.py:79] "stylize: request id-1: Traceback:\\n  \\"a\\"\\n"',
        ("error", 'Traceback:\n  "a"\n', "adapter.py:79", "stylize", "id-1"),
    ),
    "a request without an id": (
        f'{HEAD} I 7 adapter.py:70] "wct2: request without-id: answered in 1.250 s"',
        ("info", "answered in 1.250 s", "adapter.py:70", "wct2"),
    ),
    "not quoted": (
        f"{HEAD} W 7 metrics.cc:798] DCGM unable to start",
        ("warning", "DCGM unable to start", "metrics.cc:798"),
    ),
    "half a sign": (
        f'{HEAD} E 7 a.cc:1] "\\ud800 and \u00e4"',
        ("error", "\ud800 and \u00e4", "a.cc:1"),
    ),
    "gRPC's own": (
        "E1122 23:57:04.876331965    9157 ssl_transport_security.cc:1420]       Handshake failed.",
        ("error", "Handshake failed.", "ssl_transport_security.cc:1420"),
    ),
    "OpenTelemetry's own": (
        "[Error] File: /tmp/build/exporters/otlp_http_exporter.cc:122 Export 9 spans error: 1",
        ("error", "Export 9 spans error: 1", "otlp_http_exporter.cc:122"),
    ),
    "no head": ("Signal (15) received.", ("info", "Signal (15) received.")),
    "a number for a message": (f"{HEAD} I 7 a.cc:1] 17", ("info", "17", "a.cc:1")),
    "a head alone": (f"{HEAD} I 30820 server.cc:604] ", None),
    "nothing": ("", None),
}
NAMES = ("level", "message", "source", "model", "request_id")
OBJECTS = [fields and dict(zip(NAMES, fields, strict=False)) for _, fields in CASES.values()]


@pytest.mark.parametrize(("case", "expected"), list(zip(CASES, OBJECTS, strict=True)))
def test_a_line_becomes_an_object(case, expected):
    assert as_object(CASES[case][0]) == expected


def test_ids_cannot_pass_for_anything_else():
    forged = 'x: refused\n2026-11-22T23:39:41Z E 1 a.cc:1] "forged"'
    line = request_line("stylize", forged, "answered")
    assert "\n" not in line
    fields = as_object(f"{HEAD} I 7 adapter.py:70] {json.dumps(line)}")
    assert fields is not None
    assert fields["message"] == "answered"
    assert " " not in fields["request_id"]
    assert len(shown_id("x" * 1000)) == 128
    assert shown_id("") == ""


def test_every_line_is_one_object_with_a_time():
    lines = [f"{line}\n".encode() for line, _ in CASES.values()] + [b"\xff\xfe broken\r\n"]
    stream = io.BytesIO()
    with io.TextIOWrapper(stream, encoding="ascii") as out:  # as standard error may be
        rewrite(lines, out)
        written = [json.loads(line) for line in stream.getvalue().splitlines()]
    wanted = [one for one in OBJECTS if one is not None]
    assert len(written) == len(wanted) + 1
    for one in written:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one.pop("time"))
    assert written[:-1] == wanted
    assert written[-1]["message"].endswith("broken")


def test_the_output_is_read_to_its_end_when_the_lines_cannot_be_written(tmp_path):
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
