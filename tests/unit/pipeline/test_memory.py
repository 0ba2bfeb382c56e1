"""The estimate of a request's memory, and what a machine or a container has to give."""

from __future__ import annotations

import re
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
from tests.shared import refused

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
    budget: int, shape: tuple[int, int]
) -> None:
    photos, limits = {"content": shape, "style": (500, 400)}, Limits(max_memory=budget)
    words = rf"the {budget // 10**6} MB allowed; a size of up to \d+ fits"
    with refused(InvalidOption, words) as caught:
        check_memory(photos, 2048, limits)
    (fitting,) = re.findall(r"up to (\d+) fits", str(caught.value))
    check_memory(photos, int(fitting), limits)
    with pytest.raises(InvalidOption):
        check_memory(photos, int(fitting) + 1, limits)


def test_no_size_fits_photos_of_too_many_pixels() -> None:
    photos = {"content": (8000, 8000), "style": (8000, 8000)}
    with refused(InvalidOption, "photos with fewer pixels are needed"):
        check_memory(photos, 64, Limits(max_memory=GB))


def test_no_budget_is_no_limit() -> None:
    check_memory({"content": (10**5, 10**5), "style": (9, 9)}, 2048, Limits())


def test_arrays_are_checked_as_well() -> None:
    photos = [np.zeros((3, height, 1000), dtype=np.float32) for height in (100, 500)]
    check_transfer_memory(photos, Limits())
    check_transfer_memory(photos, Limits(max_memory=2 * GB))
    with refused(InvalidOption, "266666 pixels each fit"):
        check_transfer_memory(photos, Limits(max_memory=GB))


INNER = "0::/outer/inner\n"
ALL = 8789062 * 1024


@pytest.mark.parametrize(
    ("group", "limits", "expected"),
    [
        (INNER, {}, ALL),
        ("1:name=systemd:/\n", {}, ALL),
        (INNER, {"inner": ("max", GB, 0)}, ALL),
        (INNER, {"inner": (4 * GB, GB, 0)}, 3 * GB),
        (INNER, {"outer": (3 * GB, GB, 0)}, 2 * GB),
        (INNER, {"inner": (GB, 2 * GB, 0)}, 0),
        (INNER, {"inner": (4 * GB, 3 * GB, 2 * GB)}, 3 * GB),  # files in memory can be given up
        ("0::/\n", {"root": (2 * GB, GB, 0)}, GB),  # a container sees its group as the root
    ],
)
def test_the_tightest_of_the_machine_and_its_control_groups_counts(
    group: str, limits: dict[str, tuple[int | str, int, int]], expected: int, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable:    8789062 kB\n")
    (tmp_path / "own").write_text(group)
    for name, (most, used, files) in limits.items():
        folder = tmp_path / "groups" / {"root": "", "inner": "outer/inner"}.get(name, name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")
    places = (tmp_path / "meminfo", tmp_path / "own", tmp_path / "groups")
    assert available_bytes(*places) == expected


def test_this_machine_has_memory() -> None:
    assert 0 < available_bytes() < 2**50


def test_the_budget_leaves_a_reserve_but_never_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 6 * GB)
    assert default_budget() == 6 * GB - memory.RESERVE_BYTES
    monkeypatch.setattr(memory, "available_bytes", lambda: 0)
    small = estimate_bytes({"content": (600, 600), "style": (600, 600)}, 256)
    assert default_budget() > small
