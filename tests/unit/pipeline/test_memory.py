"""The estimate of a request's memory, and what a machine or a container has to give."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from photoreal.errors import InvalidOption
from photoreal.pipeline import memory
from photoreal.pipeline.memory import (
    available_bytes,
    check_memory,
    check_transfer_memory,
    default_budget,
    estimate_bytes,
)
from photoreal.preprocess import Limits

GB = 10**9


def test_the_larger_photo_decides() -> None:
    square, wide = (400, 400), (400, 2400)
    one = estimate_bytes({"content": square, "style": wide}, 400)
    assert one == estimate_bytes({"content": wide, "style": square}, 400)
    both = estimate_bytes({"content": wide, "style": wide}, 400)
    assert one < both < 1.1 * one
    assert estimate_bytes({"content": square, "style": square}, 400) < 0.6 * one


# Peak less what the server takes at rest, in MB, measured as `benchmarks/speed/memory.py` does.
MEASURED = [
    ((400, 400), (400, 2400), 400, 1523),
    ((400, 2400), (400, 400), 400, 1530),
    ((5000, 6000), (5000, 6000), 64, 575),
    ((5000, 6000), (200, 200), 64, 399),
    ((1633, 2449), (1633, 2449), 1633, 5567),
]


@pytest.mark.parametrize(("content", "style", "size", "measured"), MEASURED)
def test_estimate_is_above_what_was_measured(
    content: tuple[int, int], style: tuple[int, int], size: int, measured: int
) -> None:
    estimate = estimate_bytes({"content": content, "style": style}, size) / 1e6
    assert measured < estimate < 2 * measured + memory.REQUEST_BYTES / 1e6


@pytest.mark.parametrize("budget", [GB, 2 * GB, 3 * GB])
@pytest.mark.parametrize("shape", [(2000, 3000), (700, 5000)])
def test_the_size_that_is_named_fits_and_the_next_does_not(
    budget: int, shape: tuple[int, int], check_sentence: Callable[[object], None]
) -> None:
    photos = {"content": shape, "style": (500, 400)}
    limits = Limits(max_memory=budget)
    with pytest.raises(InvalidOption) as caught:
        check_memory(photos, 2048, limits)
    check_sentence(caught.value)
    assert f"the {budget // 10**6} MB allowed" in str(caught.value)
    found = re.search(r"a size of up to (\d+) fits", str(caught.value))
    assert found
    fitting = int(found[1])
    check_memory(photos, fitting, limits)
    with pytest.raises(InvalidOption):
        check_memory(photos, fitting + 1, limits)


def test_no_size_fits_photos_of_too_many_pixels() -> None:
    photos = {"content": (8000, 8000), "style": (8000, 8000)}
    with pytest.raises(InvalidOption, match="photos with fewer pixels are needed"):
        check_memory(photos, 64, Limits(max_memory=GB))


def test_no_budget_is_no_limit() -> None:
    check_memory({"content": (10**5, 10**5), "style": (9, 9)}, 2048, Limits())


def test_arrays_are_checked_as_well(check_sentence: Callable[[object], None]) -> None:
    photos = [np.zeros((3, height, 1000), dtype=np.float32) for height in (100, 500)]
    check_transfer_memory(photos, Limits())
    check_transfer_memory(photos, Limits(max_memory=2 * GB))
    with pytest.raises(InvalidOption, match="266666 pixels each fit") as caught:
        check_transfer_memory(photos, Limits(max_memory=GB))
    check_sentence(caught.value)


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., int]:
    """What is available on a machine with 9 GB free, in a control group with these files."""

    def available(group: str = "0::/outer/inner\n", **limits: tuple[str, int, int]) -> int:
        (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:    8789062 kB\n")
        (tmp_path / "own").write_text(group)
        for name, (most, used, files) in limits.items():
            folder = tmp_path / "groups" / {"root": "", "inner": "outer/inner"}.get(name, name)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "memory.max").write_text(f"{most}\n")
            (folder / "memory.current").write_text(f"{used}\n")
            (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")
        return available_bytes(tmp_path / "meminfo", tmp_path / "own", tmp_path / "groups")

    return available


ALL = 8789062 * 1024


def test_without_a_control_group_the_machine_counts(machine: Callable[..., int]) -> None:
    assert machine() == ALL
    assert machine("1:name=systemd:/\n") == ALL
    assert machine(inner=("max", GB, 0)) == ALL


def test_the_tightest_group_counts(machine: Callable[..., int]) -> None:
    assert machine(inner=(str(4 * GB), GB, 0)) == 3 * GB
    assert machine(outer=(str(3 * GB), GB, 0)) == 2 * GB
    assert machine(inner=(str(GB), 2 * GB, 0)) == 0


def test_files_in_memory_can_be_given_up(machine: Callable[..., int]) -> None:
    assert machine(inner=(str(4 * GB), 3 * GB, 2 * GB)) == 3 * GB


def test_a_container_sees_its_group_as_the_root(machine: Callable[..., int]) -> None:
    assert machine("0::/\n", root=(str(2 * GB), GB, 0)) == GB


def test_this_machine_has_memory() -> None:
    assert 0 < available_bytes() < 2**50


def test_the_budget_leaves_a_reserve_but_never_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 6 * GB)
    assert default_budget() == 6 * GB - memory.RESERVE_BYTES
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    small = estimate_bytes({"content": (600, 600), "style": (600, 600)}, 256)
    assert default_budget() > small
