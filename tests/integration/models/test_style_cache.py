"""The style cache and its presets through the real server."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from photoreal.cli import main
from photoreal.client import StylizeResult
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings

pytestmark = pytest.mark.server

SIZE = 48
EXAMPLES = Path(__file__).parents[3] / "examples"


def _lookups(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(server.metrics_url) as response:  # noqa: S310 (our own server)
        lines = response.read().decode().splitlines()
    name = "photoreal_style_cache_lookups_total"
    found = {"hit": 0.0, "miss": 0.0}
    for line in lines:
        if line.startswith(name):
            result = "hit" if 'result="hit"' in line else "miss"
            found[result] += float(line.split()[-1])
    return found


def test_a_style_seen_before_is_cached_and_gives_the_same_bytes(
    local: Server, stylize: Callable[..., StylizeResult], pair: Callable[[str], dict[str, Any]]
) -> None:
    files = pair("lake-dusk")
    before = _lookups(local)
    # The size is this test's own, so no other test has had the style measured.
    first, second = (stylize(local, **files, size=SIZE + 1) for _ in range(2))
    assert (first.report["style"], second.report["style"]) == ("measured", "cached")
    assert second.png == first.png
    after = _lookups(local)
    assert after == {"hit": before["hit"] + 1, "miss": before["miss"] + 1}


def test_another_content_finds_the_style_known(
    local: Server, stylize: Callable[..., StylizeResult], pair: Callable[[str], dict[str, Any]]
) -> None:
    stylize(local, **pair("lake-dusk"), size=SIZE + 2)
    other = stylize(local, **pair("pagoda-dusk"), size=SIZE + 2)
    assert other.report["style"] == "cached"


def test_warm_measures_ahead(
    local: Server,
    stylize: Callable[..., StylizeResult],
    pair: Callable[[str], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    files, size = pair("pagoda-twilight"), SIZE + 3
    style, mask = str(files["style"]), str(files["style_mask"])
    arguments = ["warm", style, "--mask", mask, "--size", str(size), "--url", local.http_url]
    assert main(arguments) == 0
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in lines] == ["analyzed", "already cached"]
    assert stylize(local, **files, size=size).report["style"] == "cached"


def test_a_cache_of_no_bytes_works(
    bare_repository: Path,
    stylize: Callable[..., StylizeResult],
    pair: Callable[[str], dict[str, Any]],
    tmp_path: Path,
) -> None:
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        bare_repository,
        "local",
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        style_cache=0,
    )
    with (tmp_path / "log").open("wb") as log, Server(settings, log) as server:
        results = [stylize(server, **pair("lake-dusk"), size=SIZE) for _ in range(2)]
    assert [result.report["style"] for result in results] == ["measured"] * 2
    assert results[0].png == results[1].png


def test_a_preset_that_is_no_image_stops_serve_before_the_server(
    bare_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(EXAMPLES / "rendered" / "dusk.jpg", tmp_path / "dusk.jpg")
    (tmp_path / "notes.txt").write_text("a note")
    arguments = ["serve", "--repository", str(bare_repository), "--presets", str(tmp_path)]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "The preset 'notes.txt' is not an image." in captured.err
    assert "Starting" not in captured.err
