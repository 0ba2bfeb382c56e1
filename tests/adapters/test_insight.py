"""What the adapters count, log and hand on of a request's trace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from photoreal.errors import InvalidImage, InvalidMask, InvalidOption, InvalidRequest
from photoreal.serve.backend.metrics import STAGE_BUCKETS, STAGES, StageMetrics, error_kind
from tests.kinds import Array, Patch

Inputs = dict[str, Array]

REQUESTS, ERRORS = "photoreal_requests_total", "photoreal_errors_total"


def test_every_series_is_there_before_the_first_request(stylize: Any, triton: Any) -> None:
    made = triton.MetricFamily.made
    outcomes = [tuple(one.labels.values()) for one in made[REQUESTS]]
    assert outcomes == [
        ("stylize", outcome) for outcome in ("ok", "refused", "stopped", "busy", "failed")
    ]
    kinds = {tuple(one.labels.values()) for one in made[ERRORS]}
    told = ("image", "mask", "option", "request", "deadline", "canceled", "busy", "internal")
    assert kinds == {("stylize", kind) for kind in told}
    assert triton.MetricFamily.values(REQUESTS) == {}


def test_requests_are_counted_by_outcome_and_errors_by_kind(
    stylize: Any, photos: Inputs, triton: Any
) -> None:
    no_image = {"CONTENT": np.array([b"none"], dtype=object)}
    stylize.execute(
        [
            triton.Request(photos),
            triton.Request(photos | no_image),
            triton.Request(photos | {"CONTENT_MASK": photos["CONTENT"]}),
            triton.Request(photos | {"SIZE": np.array([1], dtype=np.int32)}),
            triton.Request({"STYLE": photos["STYLE"]}),
        ]
    )
    triton.models.clear()
    stylize.execute([triton.Request(photos)])
    assert triton.MetricFamily.values(REQUESTS) == {
        ("stylize", "ok"): 1,
        ("stylize", "refused"): 4,
        ("stylize", "failed"): 1,
    }
    assert triton.MetricFamily.values(ERRORS) == {
        ("stylize", kind): 1 for kind in ("image", "mask", "option", "request", "internal")
    }


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidImage("no"), "image"),
        (InvalidMask("no"), "mask"),
        (InvalidOption("no"), "option"),
        (InvalidRequest("no"), "request"),
        (MemoryError(), "internal"),
    ],
)
def test_kinds_of_errors(error: Exception, kind: str) -> None:
    assert error_kind(error) == kind


def test_stages_of_answered_requests_are_observed(
    stylize: Any, photos: Inputs, triton: Any
) -> None:
    stylize.execute([triton.Request(photos), triton.Request({})])
    stages = {
        one.labels["stage"]: one for one in triton.MetricFamily.made["photoreal_stage_seconds"]
    }
    assert tuple(stages) == STAGES
    seen = {stage for stage, one in stages.items() if len(one.observed) == 1}
    assert seen == set(STAGES)
    assert all(one.buckets == list(STAGE_BUCKETS) for one in stages.values())
    parts = sum(one.observed[0] for name, one in stages.items() if name in seen - {"total"})
    assert stages["total"].observed[0] == pytest.approx(parts, abs=0.01)


def test_stages_that_a_method_lacks_are_not_observed(
    stylize: Any, photos: Inputs, triton: Any
) -> None:
    published = {"METHOD": np.array([b"published"], dtype=object)}
    stylize.execute([triton.Request(photos | published)])
    made = triton.MetricFamily.made["photoreal_stage_seconds"]
    seen = {one.labels["stage"] for one in made if one.observed}
    assert seen == set(STAGES) - {"colors", "upsample"}


def test_a_triton_without_histograms_does_without_stages(triton: Any, monkeypatch: Patch) -> None:
    monkeypatch.delattr(triton.MetricFamily, "HISTOGRAM")
    StageMetrics(triton).observe({"decode": 1.0})
    assert "photoreal_stage_seconds" not in triton.MetricFamily.made


def test_an_internal_error_names_the_line_of_the_log(
    stylize: Any, photos: Inputs, triton: Any
) -> None:
    triton.models.clear()
    (response,) = stylize.execute([triton.Request(photos, "id-1\n")])
    assert response.error().message().endswith("see request id-1? in the server's log.")
    assert triton.errors[0].startswith("stylize: request id-1?: Traceback")
