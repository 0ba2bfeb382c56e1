"""The speed benchmark reads, computes and writes what it should; nothing is timed here."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pictures
import pytest
import run
from pictures import Files
from PIL import Image
from serving import BenchmarkFailed
from speed import comparison, memory, perf_analyzer
from speed.perf_analyzer import Load
from tables import Cell, Column, Part, Spread

from tests.kinds import Capture, Patch
from tests.shared import check_sentence, refused

REPORT = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
    "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
    "p50 latency,p90 latency,p95 latency,p99 latency\n"
)
ROW = "2,0.5,293,1576,775846,79,1138111,197,134,2074534,2433726,2433726,2433727\n"
LOAD = Load("wct2", "grpc", "localhost:1", 2)


# --- perf_analyzer


@pytest.mark.parametrize("text", ["", REPORT, REPORT + ROW + ROW, "a,b\n1,2\n", REPORT + "2,x\n"])
def test_unreadable_report(text: str) -> None:
    with pytest.raises(BenchmarkFailed) as no:
        perf_analyzer.parse_report(text)
    check_sentence(no.value)


def _program(folder: Path, script: str) -> Path:
    binary = folder / "program"
    binary.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    binary.chmod(0o755)
    return binary


def test_load_is_sent(tmp_path: Path) -> None:
    data, report = tmp_path / "data.json", tmp_path / "data.csv"
    script = f"open({str(report)!r}, 'w').write({REPORT + ROW!r})\nprint(*sys.argv)\n"
    program = _program(tmp_path, f"{script}open({str(data)!r}, 'w').write(' '.join(sys.argv))")
    assert perf_analyzer.send(program, LOAD, data, 5) == {
        "p50_s": 2.074534,
        "p90_s": 2.433726,
        "p95_s": 2.433726,
        "throughput_per_s": 0.5,
    }
    given = data.read_text()
    assert f"-m wct2 -i grpc -u localhost:1 --input-data {data}" in given
    assert "--concurrency-range 2 --request-count 5" in given


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.exit('error: the model is not known.')", "failed: error: the model is not known."),
        ("sys.exit(1)", "failed: it wrote nothing."),
        ("import time; time.sleep(60)", "took more than 1 s."),
    ],
)
def test_failing_load(script: str, words: str, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(perf_analyzer, "_TIMEOUT_S", 1)
    with pytest.raises(BenchmarkFailed) as no:
        perf_analyzer.send(_program(tmp_path, script), LOAD, tmp_path / "data.json", 3)
    assert str(no.value) == f"perf_analyzer on wct2 over grpc {words}"


@pytest.fixture
def pip(tmp_path: Path) -> Path:
    """A Python whose pip installs a program that does nothing, and an empty folder of libraries."""
    program = _program(
        tmp_path,
        "import pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[sys.argv.index('--target') + 1], 'bin')\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "(folder / 'perf_analyzer').touch(0o755)",
    )
    (tmp_path / "libs").mkdir()
    return program


def _install(monkeypatch: Patch, tmp_path: Path, program: Path) -> Path:
    class Found:
        libraries = tmp_path / "libs"

    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(perf_analyzer, "check_environment", Found)
    return perf_analyzer.install(tmp_path / "cache")


def test_libraries_are_linked_under_other_names(
    tmp_path: Path, monkeypatch: Patch, pip: Path
) -> None:
    (tmp_path / "libs" / "libb64-1a2b.so.0d").touch()
    with refused(BenchmarkFailed, r"has no libcudart\.so\.12\."):
        _install(monkeypatch, tmp_path, pip)
    (tmp_path / "libs" / "libcudart-3c.so.12.6.77").touch()
    binary = _install(monkeypatch, tmp_path, pip)
    assert os.access(binary, os.X_OK)
    assert binary.with_name("libcudart.so.12").resolve().name == "libcudart-3c.so.12.6.77"
    assert binary.with_name("libb64.so.0d").resolve().name == "libb64-1a2b.so.0d"
    pip.write_text("")  # it is not called again
    assert _install(monkeypatch, tmp_path, pip) == binary


def test_failed_installation(tmp_path: Path, monkeypatch: Patch) -> None:
    program = _program(tmp_path, "sys.exit('no network')")
    with pytest.raises(BenchmarkFailed, match=r"^The installation of .* failed: no network\."):
        _install(monkeypatch, tmp_path, program)


def test_every_load_is_sent_after_a_warm_up(tmp_path: Path, monkeypatch: Patch) -> None:
    def send(binary: Path, load: Load, data: Path, requests: int) -> dict[str, float]:
        (given,) = json.loads(data.read_text())["data"]
        assert sorted(given) == ["CONTENT", "SIZE", "STYLE"]
        sent.append((load.url, load.concurrency, requests))
        return {"p50_s": 1.0}

    class Addresses:
        http_url, grpc_url = "h:1", "g:2"

    monkeypatch.setattr(perf_analyzer, "send", send)
    sent: list[Any] = []
    server: Any = Addresses()
    files, loads = pictures.example_files(32), perf_analyzer.LOADS
    part = perf_analyzer.measure_loads(tmp_path, server, tmp_path, files, loads, tmp_path)
    assert sent == [
        (url, concurrency, requests)
        for url, concurrency in (("h:1", 1), ("h:1", 4), ("g:2", 1))
        for requests in (4, 30)
    ]
    assert [row["p50_s"] for row in part.rows] == [1.0] * 3
    assert any("No segmenter" in note for note in part.notes)


# --- time and memory


def test_memory_of_processes_is_read() -> None:
    assert os.getpid() in memory.session_processes(os.getsid(0))
    with memory.watched({os.getpid(), 2**22 + 1}) as figures:  # the second one is not there
        pass
    assert figures[0] > 2**20


def test_time_and_memory_lie_on_their_lines(monkeypatch: Patch) -> None:
    class Server:
        pid = os.getsid(0)

    styles: list[bytes] = []

    def request(server: object, files: Files) -> tuple[float, None]:
        styles.append(files.style)
        width, height = Image.open(io.BytesIO(files.content)).size
        return 1.5 + 2 * width * height / 1e6, None

    monkeypatch.setattr(memory, "timed_request", request)
    figures = iter(range(100))
    monkeypatch.setattr(memory, "proportional_bytes", lambda _: next(figures) * 10**6)
    server: Any = Server()
    part: Any = memory.measure_growth(server, (0.1, 0.02), 2)
    assert [row["megapixels"] for row in part.rows] == [0.02, 0.1]
    for row in part.rows:
        assert row["seconds"].median == pytest.approx(1.5 + 2 * row["megapixels"], rel=0.01)
        assert row["fit_s"] == pytest.approx(row["seconds"].median)
        assert row["peak_mb"] == pytest.approx(row["fit_mb"])
    assert part.notes[0].startswith("2.0")
    assert part.notes[0].count("R^2 1.000") == 2
    assert len(set(styles)) == 5  # a warm-up, and two of each size, none of which is known


# --- the request and the command


def test_request_has_three_regions() -> None:
    files = pictures.example_files(64)
    for mask in (files.content_mask, files.style_mask):
        assert mask is not None
        labels = np.asarray(Image.open(io.BytesIO(mask)))
        assert labels.shape == (64, 96)
        assert np.unique(labels).tolist() == [0, 1, 2]
    assert Image.open(io.BytesIO(files.content)).size == (96, 64)
    for found in (pictures.transfer_inputs(files, 24), pictures.square_inputs(24)):
        assert [tuple(pair) for pair in found.pairs] == [(0, 0), (1, 1), (2, 2)]
        assert found.content.shape == (3, *found.content_labels.shape)


def test_photos_of_any_size_have_grain_and_new_styles_are_the_same_photo() -> None:
    files = pictures.large_files(0.06)
    photo = np.asarray(Image.open(io.BytesIO(files.content)).convert("L"), dtype=np.float32)
    assert photo.shape == (200, 300)
    assert np.abs(np.diff(photo[:40])).mean() > 1  # the sky
    first, second = files.with_new_style(), files.with_new_style()
    assert len({files.style, first.style, second.style}) == 3
    one, other = (Image.open(io.BytesIO(each.style)) for each in (first, second))
    assert one == other


@pytest.fixture
def measured(monkeypatch: Patch) -> dict[str, Any]:
    """Replaces everything that takes time; holds what the command asked for."""
    asked: dict[str, Any] = {"servers": [], "stopped": 0}

    @contextmanager
    def server(repository: Path, **settings: int) -> Iterator[None]:
        asked["servers"].append(settings.get("style_cache"))
        try:
            yield
        finally:
            asked["stopped"] += 1

    def part(name: str) -> Callable[..., Part]:
        def measure(*arguments: Any) -> Part:
            asked[name] = arguments
            row: dict[str, Cell] = {"seconds": Spread.of([1.0, 2.0])}
            title = arguments[0] if name == "compare" else name
            return Part(title, {"seconds": Column("s")}, [row])

        return measure

    monkeypatch.setattr(run, "running_server", server)
    monkeypatch.setattr(run, "server_version", lambda _: "2.51.0")
    monkeypatch.setattr(run, "install", lambda _: Path("p"))
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    monkeypatch.setattr("photoreal.networks.fast.kernels.prepare", lambda: False)
    for name in ("measure_stages", "measure_growth", "measure_loads", "compare"):
        monkeypatch.setattr(run, name, part(name))
    monkeypatch.setattr(run, "dense_repository", lambda _, folder: folder)
    return asked


def test_command_writes_a_report(measured: dict[str, Any], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "new" / "out"
    assert run.main(["-o", str(out)]) == 0
    assert measured["servers"] == [0, None, 0, None, None]
    assert measured["stopped"] == 5
    assert sorted(path.name for path in out.iterdir()) == ["bench.json", "bench.md"]
    report = json.loads((out / "bench.json").read_text())
    assert list(report["parts"]) == [
        "measure_stages",
        run.AGAINST,
        "measure_loads",
        f"{run.AGAINST}, dense weights",
        "measure_growth",
    ]
    assert report["machine"]["tritonserver"] == "2.51.0"
    assert measured["compare"][-1] == [comparison.MASKED]
    assert measured["measure_growth"][1] == (0.1, 0.5, 2.0, 8.0, 24.0)
    assert (out / "bench.md").read_text() in capsys.readouterr().out
    assert measured["measure_loads"][4] == perf_analyzer.LOADS


def test_quick_run_has_less(measured: dict[str, Any], tmp_path: Path, monkeypatch: Patch) -> None:
    def install(_: Path) -> Path:
        raise BenchmarkFailed("pip could not install it.")

    monkeypatch.setattr(run, "install", install)
    assert run.main(["-o", str(tmp_path), "--quick"]) == 0
    assert measured["measure_stages"][2] == 1
    assert measured["servers"] == [0, None, None]
    assert "measure_loads" not in measured
    assert "- pip could not install it." in (tmp_path / "bench.md").read_text()


def test_failure_is_one_sentence(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    def compare(*_: Any) -> Part:
        raise BenchmarkFailed("The pictures differ.")

    monkeypatch.setattr(run, "compare", compare)
    assert run.main(["-o", str(tmp_path)]) == 1
    assert "Error: The pictures differ.\n" in capsys.readouterr().err
    assert measured["stopped"] == 2
    assert "measure_stages" in json.loads((tmp_path / "bench.json").read_text())["parts"]
    assert run.main(["--repository", str(tmp_path)]) == 1
    assert "no model repository" in capsys.readouterr().err
