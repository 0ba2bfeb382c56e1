"""What docs/operations.md and SECURITY.md say of the program is so."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from photoreal import client
from photoreal.serve.backend.metrics import ERROR_KINDS, OUTCOMES, STAGES
from photoreal.serve.cli.command import serve
from photoreal.serve.launch.security import ADMIN_KEY_VARIABLE, MANAGEMENT
from photoreal.serve.supervise import supervisor
from photoreal.serve.supervise.health import Status
from photoreal.serve.supervise.liveness import Reason

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[3]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
PAGES = {"docs/operations.md": OPERATIONS, "SECURITY.md": SECURITY}


@pytest.mark.parametrize("page", PAGES)
def test_options_exist(page: str) -> None:
    options = {one for option in serve.params for one in option.opts}
    others = {"--ca-cert", "--client-cert", "--client-key", "--timeout", "--retries"}
    others |= {"--patience", "--quick"}
    named = set(re.findall(r"(?<![\w|-])--[a-z][a-z-]+", PAGES[page]))
    assert named
    assert named <= options | others


def test_the_tables_list_what_the_models_count() -> None:
    rows = dict(re.findall(r"^\| `(photoreal_\w+)` \|.*?\| (.*) \|$", OPERATIONS, re.M))
    for name, words in {
        "photoreal_requests_total": OUTCOMES,
        "photoreal_errors_total": tuple(ERROR_KINDS),
        "photoreal_stage_seconds": STAGES,
    }.items():
        assert set(words) <= set(re.findall(r"`(\w+)`", rows[name]))


def test_the_supervisor_is_described() -> None:
    metrics = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in Status().registry.collect()
    }
    assert metrics <= set(re.findall(r"^\| `(photoreal_\w+)` \|", OPERATIONS, re.M))
    reasons = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", OPERATIONS, re.M)
    assert set(get_args(Reason)) <= set(reasons)


def test_what_the_supervisor_logs_is_described() -> None:
    lines = re.findall(r'log\.(?:info|warning)\(\s*"([^"]+)"', inspect.getsource(supervisor))
    assert len(lines) > 5
    for line in set(lines) - {"%s"}:
        words = max(re.split(r"%[.\d]*\w", line), key=len).strip(" .")
        assert words in OPERATIONS, line


def test_errors_of_the_client_are_all_explained() -> None:
    leaves = {
        name
        for name in client.__all__
        if isinstance(one := getattr(client, name), type)
        and issubclass(one, client.ClientError)
        and not one.__subclasses__()
    }
    assert leaves <= set(re.findall(r"`(\w+)`", OPERATIONS))


def test_the_threat_model_names_what_is_restricted() -> None:
    assert f"`{ADMIN_KEY_VARIABLE}`" in SECURITY
    words = {
        "model-repository": "loading and unloading models",
        "shared-memory": "shared memory",
        "trace": "tracing",
        "logging": "log settings",
    }
    for api in MANAGEMENT:
        assert words[api] in SECURITY
