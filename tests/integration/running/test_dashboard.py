"""The dashboard and the autoscaler ask for metrics that a real server has."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from photoreal.serve.launch.launcher import Server
from photoreal.serve.supervise.health import Status
from tests.kinds import PairFiles, Stylize

pytestmark = pytest.mark.server

DEPLOY = Path(__file__).parents[3] / "deploy"
GPU_ONLY = {"nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"}
"""By Triton's documentation; a server without a GPU does not name them."""


def _queries() -> list[str]:
    board = json.loads((DEPLOY / "monitoring/grafana/dashboards/photoreal.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    scaled = yaml.safe_load((DEPLOY / "kubernetes/autoscaler.yaml").read_text())
    return queries + [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]


def _supervisor_metrics() -> str:
    """The metrics of a supervisor that has restarted a model and the server once."""
    status = Status()
    status.model_restarts.labels("wct2", "died")
    status.server_restarts.labels("died")
    return generate_latest(status.registry).decode()


def test_every_metric_and_label_that_is_asked_for_exists(
    local: Server, stylize: Stylize, pair: PairFiles
) -> None:
    for _ in range(2):  # a style that is new, and one that is known
        stylize(local, **pair("lake-dusk"), size=32)
    with urllib.request.urlopen(local.metrics_url) as answer:  # noqa: S310 (our own server)
        text = answer.read().decode() + _supervisor_metrics()
    labels: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            # The parser gives every counter the ending of OpenMetrics; the server need not.
            name = sample.name if f"\n{sample.name}" in text else sample.name[: -len("_total")]
            labels.setdefault(name, []).append(sample.labels)
    for query in _queries():
        names = re.findall(r"\b(?:nv|photoreal)_\w+", query)
        assert names, query
        for name in names:
            assert name in labels or name in GPU_ONLY, query
        for name, wanted in re.findall(r'\b((?:nv|photoreal)_\w+)\{(\w+="\w+")\}', query):
            key, value = wanted.replace('"', "").split("=")
            assert value in {one[key] for one in labels[name]}, query
        for key in re.findall(r"by \((\w+)\)", query):
            for name in set(names) - GPU_ONLY:
                assert all(key in one for one in labels[name]), query
    assert not GPU_ONLY & set(labels)
