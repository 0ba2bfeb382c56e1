"""The style cache and its presets, and the memory of a request, through the real server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from speed.memory import session_processes, watched

from photoreal.cli import main
from photoreal.options import DEFAULT_SIZE
from photoreal.pipeline.memory import estimate_bytes
from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import metric, quiet_server
from tests.kinds import Capture, PairFiles, Stylize

pytestmark = pytest.mark.server

SIZE = 48
GIB = 2**30
EXAMPLES = Path(__file__).parents[3] / "examples"


def _lookups(server: Server) -> list[float]:
    name = "photoreal_style_cache_lookups_total"
    return [metric(server, name, result=result) for result in ("hit", "miss")]


def test_a_style_seen_before_is_cached_and_gives_the_same_bytes(
    local: Server, stylize: Stylize, pair: PairFiles
) -> None:
    files = pair("lake-dusk")
    hits, misses = _lookups(local)
    # The size is this test's own, so no other test has had the style measured.
    first, second = (stylize(local, **files, size=SIZE + 1) for _ in range(2))
    assert (first.report["style"], second.report["style"]) == ("measured", "cached")
    assert second.png == first.png
    assert _lookups(local) == [hits + 1, misses + 1]
    other = stylize(local, **pair("pagoda-dusk"), size=SIZE + 1)
    assert other.report["style"] == "cached"


def test_warm_measures_ahead(
    local: Server, stylize: Stylize, pair: PairFiles, capsys: Capture
) -> None:
    files, size = pair("pagoda-twilight"), SIZE + 3
    style, mask = str(files["style"]), str(files["style_mask"])
    arguments = ["warm", style, "--mask", mask, "--size", str(size), "--url", local.http_url]
    assert main(arguments) == 0
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in lines] == ["measured", "already cached"]
    assert stylize(local, **files, size=size).report["style"] == "cached"


def test_a_cache_of_no_bytes_works(
    bare_repository: Path, stylize: Stylize, pair: PairFiles
) -> None:
    with quiet_server(bare_repository, style_cache=0) as server:
        results = [stylize(server, **pair("lake-dusk"), size=SIZE) for _ in range(2)]
    assert [result.report["style"] for result in results] == ["measured"] * 2
    assert results[0].png == results[1].png


def test_an_invalid_preset_ends_serve_before_the_server_starts(
    bare_repository: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copy(EXAMPLES / "rendered" / "dusk.jpg", tmp_path / "dusk.jpg")
    (tmp_path / "notes.txt").write_text("a note")
    arguments = ["serve", "--repository", str(bare_repository), "--presets", str(tmp_path)]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert "notes.txt" in captured.err
    assert "Starting" not in captured.err


def test_memory_of_a_request_of_the_default_size(
    local: Server, stylize: Stylize, pair: PairFiles
) -> None:
    processes = session_processes(local.pid)
    assert len(processes) == 5  # the server, and stylize, wct2, cancel and the segmenter
    with watched(processes) as figures:
        result = stylize(local, **pair("pagoda-twilight"))
    assert result.image.size == (640, 427)
    assert result.report["working_height"] == DEFAULT_SIZE
    assert len(figures) > 3
    print(f"{figures[0] / GIB:.2f} GiB before, {max(figures) / GIB:.2f} at most")
    assert 0 < max(figures) < 4 * GIB
    sizes = {"content": (427, 640), "style": (512, 768)}
    assert max(figures) - figures[0] < estimate_bytes(sizes, DEFAULT_SIZE)
