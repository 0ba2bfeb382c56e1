"""The benchmark for a GPU runs on a CPU as well, where it cannot say how fast a GPU is."""

from __future__ import annotations

import json
from pathlib import Path

import gpu
import pytest
import torch
from speed import gpu_timing
from speed.gpu_timing import PLAIN, Timing
from tables import Spread

from tests.kinds import Capture, Patch
from tests.shared import builtin_networks

pytestmark = pytest.mark.slow


@pytest.fixture
def timing() -> Timing:
    return Timing(builtin_networks("cat5"), torch.device("cpu"), 16, 3)


@pytest.mark.long
def test_one_command_checks_times_and_reports(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    ways = tuple(way for way in gpu_timing.WAYS if not way.half)  # half precision is slow here
    monkeypatch.setattr(gpu_timing, "WAYS", ways)
    output = tmp_path / "new"
    arguments = ["--device", "cpu", "--sizes", "64", "--repeats", "1", "-o", str(output)]
    assert gpu.main(arguments) == 0
    found = json.loads((output / "gpu.json").read_text())["parts"]
    assert [row["passed"] for row in found["Checks"]["rows"]] == ["yes"] * 3
    rows = found["Times"]["rows"]
    assert [(row["engine"], row["style"]) for row in rows] == [
        (PLAIN, "new"),
        ("fp32", "new"),
        ("fp32", "known"),
    ]
    for row in rows:
        assert row["size"] == "64x64"
        assert row["ratio"] == pytest.approx(rows[0]["ms"]["median"] / row["ms"]["median"], 1e-4)
    text = (output / "gpu.md").read_text()
    assert text in capsys.readouterr().out


def test_runs_are_counted_after_the_first(timing: Timing) -> None:
    runs: list[int] = []

    def work() -> torch.Tensor:
        runs.append(1)
        return torch.ones(1)

    row = timing.row("fp32", "new", 3, work)
    assert len(runs) == 4
    assert isinstance(row["ms"], Spread)
    assert row["ms"].repeats == 3
    assert "memory_gb" not in row


def test_too_little_memory_is_a_row_without_a_time(timing: Timing) -> None:
    def full() -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    row = timing.row("fp32", "new", 3, full)
    assert (row["engine"], row.get("ms")) == ("fp32 (out of memory)", None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="There is a GPU here.")
def test_without_a_gpu_a_sentence_says_so(capsys: Capture) -> None:
    assert gpu.main([]) == 1
    assert capsys.readouterr().err.startswith("Error: PyTorch cannot use a CUDA device")


@pytest.mark.parametrize("sizes", ["large", "20", "8"])
def test_sizes_are_multiples_of_8(sizes: str) -> None:
    assert gpu.main(["--device", "cpu", "--sizes", sizes]) == 2


def test_a_check_that_fails_is_an_exit_code(
    tmp_path: Path, monkeypatch: Patch, capsys: Capture
) -> None:
    monkeypatch.setattr(gpu_timing, "LEAST_PSNR_DB", 500.0)
    monkeypatch.setattr(Timing, "rows", lambda self: [])
    assert gpu.main(["--device", "cpu", "--sizes", "32", "-o", str(tmp_path)]) == 1
    assert "A check failed" in capsys.readouterr().err
