"""The speed benchmark reads, computes and writes what it should; nothing is timed here."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import latency
import machine
import numpy as np
import pytest
import run
import serving
from PIL import Image
from serving import BenchmarkFailed
from speed import memory, perf_analyzer
from speed.chart import bar_chart
from speed.perf_analyzer import (
    Load,
    Measured,
    PerfAnalyzer,
    arguments,
    link_libraries,
    parse_report,
)
from tables import Cell, Column, Part, Spread

from photoreal.contract import SEGMENTER, STYLIZE

CheckSentence = Callable[[object], None]

REPORT = (
    "Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,"
    "Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,"
    "p50 latency,p90 latency,p95 latency,p99 latency\n"
)
ROW = "2,0.5,293,1576,775846,79,1138111,197,134,2074534,2433726,2433726,2433727\n"


# --- tables, chart, machine


def test_a_part_becomes_json_and_markdown() -> None:
    columns = {"what": Column("what"), "s": Column("s", 2), "n": Column("requests")}
    rows: list[dict[str, Any]] = [
        {"what": "a", "s": Spread.of([3.0, 1.0, 2.5]), "n": 3, "hidden": 1 / 3},
        {"what": "b", "s": 0.125, "met": None},
    ]
    part = Part("Times", columns, rows, ["A note."], "x.svg")
    assert part.as_markdown() == [
        "## Times",
        "",
        "| what | s | requests |",
        "| --- | --- | --- |",
        "| a | 2.50 (1.00..3.00) | 3 |",
        "| b | 0.12 |  |",
        "",
        "![Times](x.svg)",
        "",
        "- A note.",
        "",
    ]
    found = json.loads(json.dumps(part.as_json(), allow_nan=False))
    assert found["rows"][0]["s"] == {"median": 2.5, "min": 1.0, "max": 3.0, "repeats": 3}
    assert found["rows"][0]["hidden"] == 0.333333
    assert Part("Empty", {}, [], ["Why."]).as_markdown() == ["## Empty", "", "- Why.", ""]
    with pytest.raises(ValueError, match="at least one"):
        Spread.of([])


def test_the_chart_has_a_bar_a_row() -> None:
    bars = [("a & b", Spread.of([1.0, 2.0, 4.0])), ("none", Spread.of([0.0]))]
    drawing = ElementTree.fromstring(bar_chart("Seconds <s>", bars, "s"))  # noqa: S314 (our own)
    names = [element.tag.rpartition("}")[2] for element in drawing]
    assert names.count("rect") == 1 + len(bars)  # the background and the bars
    assert names.count("path") == len(bars)
    words = [element.text for element in drawing if element.text]
    assert words == ["Seconds <s>", "a & b", "2 s", "none", "0 s"]
    ElementTree.fromstring(bar_chart("Nothing", [], "s"))  # noqa: S314


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = machine.machine()
    assert found["cpus"] == os.cpu_count()
    assert set(machine.PACKAGES) <= set(found)
    json.dumps(found, allow_nan=False)
    assert machine.cpu_model("processor\t: 0\nmodel name\t: Some CPU: fast\n") == "Some CPU: fast"
    assert machine.memory_gib("MemFree: 1 kB\nMemTotal:   25165824 kB\n") == 24.0
    assert machine.cpu_model("") is None
    assert machine.memory_gib("") is None
    monkeypatch.setattr(machine, "_ROOT", tmp_path)  # no repository
    assert machine.commit() is None


# --- perf_analyzer


def test_a_report_is_read(check_sentence: CheckSentence) -> None:
    found = parse_report(REPORT + ROW)
    assert found == Measured(2.074534, 2.433726, 2.433726, 0.5)
    for text in ("", REPORT, REPORT + ROW + ROW, "a,b\n1,2\n", REPORT + "2,x\n"):
        with pytest.raises(BenchmarkFailed) as no:
            parse_report(text)
        check_sentence(no.value)


def _program(folder: Path, script: str) -> PerfAnalyzer:
    binary = folder / "program"
    binary.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    binary.chmod(0o755)
    return PerfAnalyzer(binary, folder)


def test_a_load_is_sent(tmp_path: Path) -> None:
    load = Load("stylize", "grpc", "localhost:1", 2, 5)
    script = (
        "given = sys.argv[1:]\n"
        f"assert given[:-1] == {arguments(load, Path('data.json'), Path('x'))[:-1]!r}\n"
        f"open(given[-1], 'w').write({REPORT + ROW!r})"
    )
    found = _program(tmp_path, script).run(load, Path("data.json"), 60)
    assert found.throughput_per_s == 0.5
    assert arguments(load, Path("d"), Path("x"))[8:12] == [
        "--concurrency-range",
        "2",
        "--request-count",
        "5",
    ]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.exit('error: the model is not known.')", "failed: error: the model is not known."),
        ("pass", "failed: it wrote nothing."),
        ("import time; time.sleep(60)", "took more than 1 s."),
    ],
)
def test_a_failing_load_is_told(script: str, words: str, tmp_path: Path) -> None:
    load = Load("wct2", "http", "localhost:1", 1, 3)
    with pytest.raises(BenchmarkFailed) as no:
        _program(tmp_path, script).run(load, Path("data.json"), 1)
    assert str(no.value) == f"perf_analyzer on wct2 over http {words}"


def test_libraries_are_linked_under_other_names(
    tmp_path: Path, check_sentence: CheckSentence
) -> None:
    source, folder = tmp_path / "libs", tmp_path / "cache"
    source.mkdir()
    folder.mkdir()
    (source / "libb64-1a2b.so.0d").touch()
    with pytest.raises(BenchmarkFailed, match=r"libcudart\.so\.12") as no:
        link_libraries(source, folder)
    check_sentence(no.value)
    (source / "libcudart-3c.so.12.6.77").touch()
    link_libraries(source, folder)
    link_libraries(source, folder)  # once more over what is there
    assert (folder / "libcudart.so.12").resolve() == source / "libcudart-3c.so.12.6.77"


def test_the_program_comes_out_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as wheel:
        wheel.writestr("some.data/data/bin/perf_analyzer", b"program")
    files: dict[str, bytes] = {"some.whl": stream.getvalue()}

    def download(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[-1] == perf_analyzer.REQUIREMENT
        folder = Path(command[command.index("--dest") + 1])
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return subprocess.CompletedProcess(command, 0 if files else 1, "", "no network")

    monkeypatch.setattr(subprocess, "run", download)
    binary = tmp_path / "perf_analyzer"
    perf_analyzer._download(binary)
    assert binary.read_bytes() == b"program"
    assert os.access(binary, os.X_OK)
    files.clear()
    with pytest.raises(BenchmarkFailed, match=r"could not download .*: no network\.$"):
        perf_analyzer._download(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["perf_analyzer"]


def test_inputs_are_the_tensors_of_the_contract() -> None:
    files = serving.example_files()
    for spec in (STYLIZE, SEGMENTER):
        found = perf_analyzer.model_inputs(spec.name, files, 24)
        assert set(found) <= set(spec.input_names())
        assert {one.name for one in spec.inputs if not one.optional} <= set(found)
        json.dumps(found)
    content = perf_analyzer.model_inputs(STYLIZE.name, files)["CONTENT"]["content"]["b64"]
    assert base64.b64decode(content)[:4] == len(files.content).to_bytes(4, "little")


def test_every_load_is_sent_after_a_warm_up(tmp_path: Path) -> None:
    class Program:
        def run(self, load: Load, data: Path) -> Measured:
            assert json.loads(data.read_text())["data"]
            sent.append(load)
            return Measured(1.0, 2.0, 3.0, 0.5)

    class Addresses:
        http_url, grpc_url = "h:1", "g:2"

    sent: list[Load] = []
    part = perf_analyzer.measure_loads(
        Program(),  # type: ignore[arg-type]
        Addresses(),  # type: ignore[arg-type]
        tmp_path,
        serving.example_files(),
        perf_analyzer.LOADS,
        tmp_path,
    )
    assert [(load.url, load.concurrency) for load in sent[1::2]] == [
        ("h:1", 1),
        ("h:1", 4),
        ("g:2", 1),
    ]
    assert [load.requests for load in sent] == [4, 30] * 3
    assert len(part.rows) == 3
    assert any("No segmenter" in note for note in part.notes)


# --- memory and latency


def test_a_line_is_fitted() -> None:
    line = memory.fit_line([1.0, 2.0, 4.0], [5.0, 7.0, 11.0])
    assert line == pytest.approx((2.0, 3.0, 1.0))
    assert line.at(10.0) == pytest.approx(23.0)
    assert memory.fit_line([0.0, 1.0, 2.0], [0.0, 3.0, 0.0]).r_squared == pytest.approx(0.0)
    assert memory.fit_line([0.0, 1.0], [2.0, 2.0]).r_squared == 1.0
    with pytest.raises(ValueError, match="two places"):
        memory.fit_line([1.0, 1.0], [1.0, 2.0])


def test_memory_of_processes_is_read() -> None:
    assert memory.parse_pss("Rss:  9 kB\nPss:    12 kB\nPss_Anon:  5 kB\n") == 12 * 1024
    ours = memory.session_processes(os.getsid(0))
    assert os.getpid() in ours
    with memory.watched({os.getpid(), 2**22 + 1}) as figures:  # the second one is not there
        pass
    assert figures[0] > 2**20


def test_memory_rows_lie_on_their_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        pid = os.getsid(0)

    class Result:
        def __init__(self, size: int) -> None:
            self.report = {"width": size * 3 // 2, "height": size}

    monkeypatch.setattr(memory, "timed_request", lambda server, files, size: (0.5, Result(size)))
    figures = iter(range(100))
    monkeypatch.setattr(memory, "proportional_bytes", lambda _: next(figures) * 10**6)
    part = memory.measure_memory(Server(), serving.example_files(), (1.0, 0.1))  # type: ignore[arg-type]
    assert [row["megapixels"] for row in part.rows] == pytest.approx([0.1, 1.0], rel=0.02)
    assert [row["peak_mb"] for row in part.rows] == pytest.approx(
        [row["fit_mb"] for row in part.rows]
    )
    assert "R^2 1.0000" in part.notes[0]


def test_evenness_and_crowding(monkeypatch: pytest.MonkeyPatch) -> None:
    class Result:
        report = {"style": "cached"}  # noqa: RUF012

    seconds = iter([9.0, 9.0, 1.0, 2.0, 3.0])
    monkeypatch.setattr(latency, "timed_request", lambda *_: (next(seconds, 1.0), Result()))
    server: Any = None
    part = latency.measure_latency(server, serving.example_files(), 64, 3, 2)
    first, second, third = part.rows
    assert first["value"] == (2.0, 1.0, 3.0, 3)
    assert (second["value"], second["met"]) == (1.5, "no")
    assert isinstance(third["value"], Spread)
    assert third["value"].repeats == 2
    assert "known to the server" in part.notes[0]


# --- the request and the command


def test_the_request_has_three_regions() -> None:
    files = serving.example_files()
    for mask in (files.content_mask, files.style_mask):
        labels = np.asarray(Image.open(io.BytesIO(mask)))
        assert labels.ndim == 2
        assert np.unique(labels).tolist() == [0, 1, 2]
    found = serving.transfer_inputs(files, 24)
    assert [tuple(pair) for pair in found.pairs] == [(0, 0), (1, 1), (2, 2)]
    assert found.content.shape == (3, *found.content_labels.shape)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replaces everything that takes time; holds what the command asked for."""
    asked: dict[str, Any] = {}

    class Started:
        def __init__(self, repository: Path, *, keep_styles: bool) -> None:
            asked.setdefault("servers", []).append(keep_styles)

        def __enter__(self) -> Started:
            return self

        def __exit__(self, *_: object) -> None:
            asked["stopped"] = asked.get("stopped", 0) + 1

    def part(name: str) -> Callable[..., Part]:
        def measure(*arguments: Any) -> Part:
            asked[name] = arguments
            row: dict[str, Cell] = {"stage": name, "seconds": Spread.of([1.0, 2.0])}
            return Part(name, {"stage": Column("stage"), "seconds": Column("s")}, [row])

        return measure

    monkeypatch.setattr(run, "running_server", Started)
    monkeypatch.setattr(run, "server_version", lambda _: "2.51.0")
    monkeypatch.setattr(run, "install", lambda _: PerfAnalyzer(Path("p"), Path("l")))
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)
    monkeypatch.setattr("photoreal.networks.fast.kernels.prepare", lambda: False)
    for name in ("stages", "memory", "loads", "latency"):
        monkeypatch.setattr(run, f"measure_{name}", part(name))
    monkeypatch.setattr(run, "compare", part("compare"))
    monkeypatch.setattr(run, "dense_repository", lambda _, folder: folder)
    return asked


def test_command_writes_report_and_chart(
    measured: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert run.main(["-o", str(out)]) == 0
    assert measured["servers"] == [False, True, False, True, True]
    assert measured["stopped"] == 5
    assert sorted(path.name for path in out.iterdir()) == ["bench.json", "bench.md", "stages.svg"]
    report = json.loads((out / "bench.json").read_text())
    names = ["stages", "comparison", "latency", "dense", "memory", "perf_analyzer"]
    assert list(report["parts"]) == names
    assert report["machine"]["tritonserver"] == "2.51.0"
    assert report["settings"]["latency_requests"] == 50
    text = (out / "bench.md").read_text()
    assert "![stages](stages.svg)" in text
    assert text in capsys.readouterr().out
    assert measured["loads"][4] == perf_analyzer.LOADS


def test_quick_run_has_less(
    measured: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(_: Path) -> PerfAnalyzer:
        raise BenchmarkFailed("pip could not download it.")

    monkeypatch.setattr(run, "install", install)
    assert run.main(["-o", str(tmp_path), "--quick"]) == 0
    assert measured["stages"][2] == 256
    assert measured["servers"] == [False, True]
    assert "memory" not in measured
    assert "loads" not in measured
    assert "- pip could not download it." in (tmp_path / "bench.md").read_text()


def test_a_failure_is_one_sentence(
    measured: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def compare(*_: Any) -> Part:
        raise BenchmarkFailed("The pictures differ.")

    monkeypatch.setattr(run, "compare", compare)
    assert run.main(["-o", str(tmp_path)]) == 1
    assert "Error: The pictures differ.\n" in capsys.readouterr().err
    assert measured["stopped"] == 2
    assert "stages" in json.loads((tmp_path / "bench.json").read_text())["parts"]
    assert run.main(["--slow"]) == 2
    assert run.main(["--repository", str(tmp_path)]) == 1
    assert "no model repository" in capsys.readouterr().err
