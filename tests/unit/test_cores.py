"""The number of threads follows what the scheduler allows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from photoreal.cores import available_cores


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("50000 100000\n", 1),
        ("3200000 100000\n", 8),
        ("nonsense\n", 8),
        ("1 0\n", 8),
    ],
)
def test_a_container_s_quota_counts(
    text: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    assert available_cores(limit) == cores


def test_without_control_groups_the_affinity_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3})
    assert available_cores(tmp_path / "none") == 1


@pytest.mark.parametrize(("processors", "cores"), [(6, 6), (None, 1)])
def test_where_there_is_no_affinity_the_machine_counts(
    processors: int | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert available_cores(tmp_path / "none") == cores
