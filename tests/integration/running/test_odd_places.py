"""The real server where people put things: odd paths, IPv6, proxies, no home."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photoreal.client import StyleTransferClient
from photoreal.client.address import PROTOCOLS
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.installation import PACKAGE
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings
from tests.integration.conftest import url_of
from tests.kinds import PairFiles, Patch

pytestmark = pytest.mark.server

FOLDER = "Meine Modelle (2), größer & schöner"


def _environment(folder: Path) -> Path:
    """This virtual environment as it would be in a folder, with a checkout beside it."""
    ours, theirs = Path(sys.prefix), folder / "checkout" / ".venv"
    packages = Path(sysconfig.get_path("purelib")).relative_to(ours)
    (theirs / packages).mkdir(parents=True)
    (theirs / "pyvenv.cfg").symlink_to(ours / "pyvenv.cfg")
    (theirs / "bin").symlink_to(ours / "bin")
    for entry in (ours / packages).iterdir():
        if not entry.name.startswith("__editable__"):
            (theirs / packages / entry.name).symlink_to(entry)
    (folder / "checkout" / "build").symlink_to(PACKAGE.parent)
    (theirs / packages / "__editable__.pth").write_text(str(folder / "checkout" / "build"))
    return theirs


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_spaces_umlauts_a_proxy_and_no_home(
    host: str, bare_repository: Path, pair: PairFiles, tmp_path: Path, monkeypatch: Patch
) -> None:
    odd = tmp_path / FOLDER
    repository = Path(shutil.copytree(bare_repository, odd / "model repository"))
    (odd / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd / "temporary"))
    monkeypatch.setenv("TMPDIR", str(odd / "temporary"))
    environment = _environment(odd)
    monkeypatch.setattr(sys, "executable", str(environment / "bin" / "python"))
    packages = environment / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    monkeypatch.setattr(sysconfig, "get_path", {"purelib": str(packages)}.get)
    monkeypatch.setenv("HOME", "/dev/null/home")
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    ports: dict[str, Any] = dict(
        zip(("http_port", "grpc_port", "metrics_port"), free_ports(host, 3), strict=True)
    )
    settings = replace(ServeSettings(repository, host=host), **ports)
    with (tmp_path / "log").open("wb") as log, Server(settings, log) as server:
        for protocol in PROTOCOLS:
            url = url_of(server, protocol)
            with StyleTransferClient(url, protocol=protocol, timeout=120, retries=0) as client:
                result = client.stylize(**pair("lake-dusk"), size=32, output_size=32)
            assert result.image.height == 32
    assert not list((odd / "temporary").glob("photoreal-*"))
