"""What docs/web.md says of the gateway is what it does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from photoreal.client import DEFAULT_TIMEOUT, AsyncStyleTransferClient
from photoreal.client.cli.upload import upload
from photoreal.client.web.app import ERRORS, make_app
from photoreal.client.web.command import web
from photoreal.client.web.settings import GatewaySettings

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "web.md").read_text()
COMMANDS = {"web": web, "upload": upload}


def test_every_option_in_the_text_exists() -> None:
    known = {name for command in COMMANDS.values() for one in command.params for name in one.opts}
    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) <= known


def test_table_has_every_field() -> None:
    rows = re.findall(r"^\| ([a-z0-9_, ]+) \| ", TEXT, re.MULTILINE)
    words = {name for row in rows for name in row.split(", ")} - {"status", "field"}
    listed = {name for name in words if not name.isdigit()}
    schema = make_app(AsyncStyleTransferClient()).openapi()["components"]["schemas"]
    (form,) = [schema[name] for name in schema if "upload_images" in name]
    assert listed == set(form["properties"])


def test_table_has_every_status() -> None:
    assert set(map(int, re.findall(r"^\| (\d{3}) \|", TEXT, re.MULTILINE))) == set(ERRORS)


def test_bounds_are_those_of_the_program() -> None:
    settings = GatewaySettings()
    assert f"`--max-upload` ({settings.max_file_bytes >> 20} MiB)" in TEXT
    assert f"`--max-requests` ({settings.max_requests})" in TEXT
    assert f"`--timeout` ({DEFAULT_TIMEOUT:g} seconds)" in TEXT
    assert "three times" in TEXT
    assert settings.max_body_bytes // settings.max_file_bytes == 3
