"""What docs/operations.md and SECURITY.md say of the program is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from photoreal import client
from photoreal.serve.command import serve
from photoreal.serve.metrics import ERROR_KINDS, OUTCOMES, STAGES
from photoreal.serve.security import ADMIN_KEY_VARIABLE, MANAGEMENT

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
PAGES = {"docs/operations.md": OPERATIONS, "SECURITY.md": SECURITY}


def test_commands_parse() -> None:
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", OPERATIONS, re.S)).replace("\\\n", " ")
    lines = [line for line in blocks.splitlines() if line.startswith("photoreal ")]
    assert lines
    for line in lines:
        _, verb, *arguments = shlex.split(line, comments=True)
        assert verb == "serve"
        # The files of the example are not there: parsing alone is tried.
        serve.make_context(verb, arguments)


@pytest.mark.parametrize("page", PAGES)
def test_options_exist(page: str) -> None:
    options = {one for option in serve.params for one in option.opts}
    others = {"--help", "--ca-cert", "--client-cert", "--client-key", "--timeout"}
    named = set(re.findall(r"(?<![\w|-])--[a-z][a-z-]+", PAGES[page]))
    assert named
    assert named <= options | others


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for path, place in re.findall(r"\]\(([^)#:]*)(#[^)]*)?\)", PAGES[page]):
        target = (ROOT / page).parent / path
        assert target.exists()
        if place:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert place[1:] in [heading.lower().replace(" ", "-") for heading in headings]


def test_the_tables_list_what_the_models_count() -> None:
    rows = dict(re.findall(r"^\| `(photoreal_\w+)` \|.*?\| (.*) \|$", OPERATIONS, re.M))
    for name, words in {
        "photoreal_requests_total": OUTCOMES,
        "photoreal_errors_total": tuple(ERROR_KINDS),
        "photoreal_stage_seconds": STAGES,
    }.items():
        assert set(words) <= set(re.findall(r"`(\w+)`", rows[name]))


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
