"""The benchmark for a GPU runs on a CPU as well, where it cannot say how fast a GPU is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gpu
import pytest
import torch
from speed import gpu_checks, gpu_timing
from speed.gpu_timing import PLAIN, Clock, Timing, matrix_rates
from speed.work import multiply_adds

from photoreal.networks.vgg import Decoder, Encoder

pytestmark = pytest.mark.slow

Networks = Callable[[str], tuple[Encoder, Decoder]]
CPU = torch.device("cpu")


@pytest.mark.long
def test_one_command_checks_times_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_timing, "MATRIX_SIDES", {"cpu": 64})
    monkeypatch.setattr(gpu_timing, "WAYS", gpu_timing.WAYS[2:3])  # half precision is slow here
    output = tmp_path / "new" / "gpu"
    arguments = ["--device", "cpu", "--sizes", "64", "--repeats", "1", "-o", str(output)]
    assert gpu.main(arguments) == 0
    found = json.loads(output.with_suffix(".json").read_text())
    assert len(found["checks"]["rows"]) == 2
    assert all(row["passed"] == "yes" for row in found["checks"]["rows"])
    rows = found["times"]["rows"]
    assert [(row["engine"], row["style"]) for row in rows] == [
        (PLAIN, "new"),
        ("fp32", "new"),
        ("fp32", "known"),
    ]
    for row in rows:
        assert row["size"] == "64x64"
        assert row["ratio"] == pytest.approx(rows[0]["ms"]["median"] / row["ms"]["median"], 1e-4)
    text = output.with_suffix(".md").read_text()
    assert gpu.GOALS in text
    assert text in capsys.readouterr().out + "\n"


def test_the_floor_is_the_work_at_the_rate_of_a_product(builtin_networks: Networks) -> None:
    networks = builtin_networks("cat5")
    rates = {"fp16": 2e12, "fp32": 1e12}
    row = Timing(networks, Clock(CPU, 1), 16, rates)._row("fp16", "new", 2, lambda: torch.ones(1))
    work = sum(multiply_adds(network, 16, 16) for network in networks)
    assert row["floor_ms"] == pytest.approx(1e3 * 2 * 2 * work / 2e12)
    assert row["memory_gb"] is None


def test_too_little_memory_is_a_row_without_a_time(builtin_networks: Networks) -> None:
    def full() -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    timing = Timing(builtin_networks("cat5"), Clock(CPU, 1), 16, {"fp32": 1.0})
    row = timing._row("fp32", "new", 2, full)
    assert (row["engine"], row["ms"]) == ("fp32 (out of memory)", None)


def test_runs_are_counted_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    seconds, peak = Clock(CPU, 3).time(lambda: runs.append(1))
    assert (len(seconds), len(runs), peak) == (3, 4, None)
    monkeypatch.setattr(gpu_timing, "MATRIX_SIDES", {"cpu": 16})
    assert set(matrix_rates(Clock(CPU, 1))) == {"fp16", "fp32"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="There is a GPU here.")
def test_without_a_gpu_a_sentence_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 1
    assert capsys.readouterr().err.startswith("Error: There is no CUDA device")


@pytest.mark.parametrize("sizes", ["large", "20", "8"])
def test_sizes_are_multiples_of_8(sizes: str) -> None:
    assert gpu.main(["--device", "cpu", "--sizes", sizes]) == 2


def test_a_check_that_fails_is_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_checks, "LEAST_PSNR_DB", 500.0)
    monkeypatch.setattr(Timing, "rows", lambda self: [])
    output = tmp_path / "gpu"
    assert gpu.main(["--device", "cpu", "--sizes", "32", "-o", str(output)]) == 1
    assert "A check failed" in capsys.readouterr().err
