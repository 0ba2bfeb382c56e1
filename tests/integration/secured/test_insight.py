"""The log, the metrics and the traces of a `photoreal serve`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest
from tritonclient.utils import InferenceServerException

from photoreal.client import RequestRejected
from photoreal.contract import LEVELS, network_levels
from photoreal.serve.supervise.health import Status

from .running import ADMIN_KEY, API_KEY, SIZE, Secured, Way, attributes

pytestmark = pytest.mark.server


def test_every_line_of_the_log_is_an_object_and_requests_are_logged_by_id(
    server: Secured, picture: bytes
) -> None:
    way: Way = ("sync", "http")
    server.stylize(way, picture, request_id="a good one\n2026")
    with pytest.raises(RequestRejected) as caught:
        server.stylize(way, b"no image", request_id="a-bad-one")
    lines = server.lines()
    for line in lines:
        assert {"time", "level", "message"} <= line.keys()
        assert line["level"] in {"info", "warning", "error"}
    assert "Ready." in [line["message"] for line in lines]
    answered = server.lines_about("a?good?one?2026", 2)
    assert [line["model"] for line in answered] == ["wct2", "stylize"]
    assert all(line["message"].startswith("answered in ") for line in answered)
    (refused,) = server.lines_about("a-bad-one", 1)
    assert refused["model"] == "stylize"
    assert refused["message"] == f"refused: {caught.value}"
    text = server.log.read_text()
    assert API_KEY not in text
    assert ADMIN_KEY not in text


def test_an_error_of_a_network_is_logged_by_id(server: Secured) -> None:
    sizes = {"FEATURES": (128, 4), "LH": (64, 5), "HL": (64, 5), "HH": (64, 5), "ORIGINAL": (64, 8)}
    arrays = {
        name: np.zeros((1, channels, side, side), dtype=np.float32)
        for name, (channels, side) in sizes.items()
    }
    with pytest.raises(InferenceServerException) as caught:
        server.infer("wct2_decoder_2", arrays, "a-misfit")
    assert caught.value.status() == "400"
    (line,) = server.lines_about("a-misfit", 1)
    assert (line["level"], line["model"]) == ("error", "wct2_decoder_2")
    assert line["message"] not in caught.value.message()


def test_metrics_count_requests_errors_and_stages(server: Secured, picture: bytes) -> None:
    way: Way = ("sync", "http")
    names = ("photoreal_requests_total", "photoreal_errors_total", "photoreal_stage_seconds_count")
    before = [server.counts(name) for name in names]
    server.stylize(way, picture)
    with pytest.raises(RequestRejected):
        server.stylize(way, b"no image")
    grown = [
        {
            labels: value - old.get(labels, 0)
            for labels, value in server.counts(name).items()
            if value != old.get(labels, 0)
        }
        for name, old in zip(names, before, strict=True)
    ]
    assert grown[0] == {
        'model="stylize",outcome="ok"': 1,
        'model="stylize",outcome="refused"': 1,
        'model="wct2",outcome="ok"': 1,
    }
    assert grown[1] == {'kind="image",model="stylize"': 1}
    stages = ("decode", "segment", "colors", "transfer", "upsample", "encode", "total")
    assert grown[2] == {f'stage="{stage}"': 1 for stage in stages}
    assert server.counts("photoreal_requests_total")['model="wct2",outcome="failed"'] == 0


def test_every_metric_that_the_documentation_names_is_there(
    server: Secured, picture: bytes
) -> None:
    server.stylize(("sync", "http"), picture)
    page = Path(__file__).parents[3] / "docs" / "operations.md"
    named = set(re.findall(r"\b(?:photoreal|nv)_\w+", page.read_text()))
    lines = server.metric_lines()
    counted = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    families = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    # The supervisor has its own endpoint.
    text = generate_latest(Status().registry).decode()
    supervisors = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert len(named) > 10
    assert named <= counted | families | supervisors


def test_one_trace_holds_a_request_and_all_that_was_called_for_it(
    server: Secured, picture: bytes
) -> None:
    """The caller's own trace, even: its header names the parent of the whole."""
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    arrays = {name: np.array([picture], dtype=object) for name in ("CONTENT", "STYLE")}
    arrays["SIZE"] = np.array([SIZE], dtype=np.int32)
    arrays["METHOD"] = np.array([b"published"], dtype=object)  # it runs every level
    server.infer("stylize", arrays, "traced", traceparent=f"00-{trace}-{span}-01")
    called = {"segmenter", "wct2", *(spec.name for spec in network_levels())}
    models_run = 2 + 2 + 7 + 8  # stylize and wct2, the segmenter, the style's levels, the content's
    spans = server.collector.trace_of("traced", 1 + 2 * models_run)  # each has a span "compute"
    by_id = {one["spanId"]: one for one in spans}
    models = {name: [one for one in spans if one["name"] == name] for name in {"stylize", *called}}
    assert all(models.values()), {name: len(found) for name, found in models.items()}
    (stylize,) = models["stylize"]
    (wct2,) = models["wct2"]
    parents = {one["name"]: one["parentSpanId"] for one in models["segmenter"]}
    assert set(parents.values()) == {stylize["spanId"]}
    assert wct2["parentSpanId"] == stylize["spanId"]
    for level in LEVELS:
        for one in models[f"wct2_encoder_{level}"] + models[f"wct2_decoder_{level}"]:
            assert one["parentSpanId"] == wct2["spanId"]
    root = by_id[stylize["parentSpanId"]]
    assert root["name"] == "InferRequest"
    assert (root["traceId"], root["parentSpanId"]) == (trace, span)
    ids = {
        attributes(one).get("triton.request_id") for one in (stylize, wct2, *models["segmenter"])
    }
    assert ids == {"traced"}
