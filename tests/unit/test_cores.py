"""The number of threads follows what the scheduler allows."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Barrier, current_thread, main_thread

import pytest

from photoreal.cores import available_cores, map_on_cores


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


def test_items_are_worked_on_at_once_and_results_keep_their_order() -> None:
    at_once = Barrier(3)

    def double(item: int) -> int:
        at_once.wait(10.0)
        return 2 * item

    assert map_on_cores(double, range(3), threads=3) == [0, 2, 4]


@pytest.mark.parametrize(("items", "threads"), [([7], 4), ([7, 8], 1), ([], 4)])
def test_one_item_or_thread_needs_no_other_thread(items: list[int], threads: int) -> None:
    found = map_on_cores(lambda item: (item, current_thread()), items, threads)
    assert found == [(item, main_thread()) for item in items]


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        map_on_cores(lambda item: 1 // item, [1, 0], threads=2)
