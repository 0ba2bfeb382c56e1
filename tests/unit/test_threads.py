"""Blocks of pixels in parallel: which threads work on them, and that the results are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from threading import Barrier, Thread, current_thread
from typing import Any

import numpy as np
import pytest
import torch

from photoreal import devices
from photoreal.networks import wavelet
from photoreal.regions import Pair
from photoreal.threads import parallel, parallel_groups
from photoreal.transfer import region_transform, roots, soft_transform
from photoreal.transfer.progressive import LabelledImage, transfer
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from tests.shared import narrow_engine, psnr, smooth_image

CPU = torch.device("cpu")
COUNT = 2


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(COUNT)
    yield
    torch.set_num_threads(before)


def _threads(_: object) -> tuple[str, int, bool]:
    return current_thread().name, torch.get_num_threads(), torch.is_inference_mode_enabled()


def test_results_are_in_the_order_of_the_items(two_threads: None) -> None:
    assert parallel(str, range(50), CPU) == [str(i) for i in range(50)]
    groups = [[1, 2, 3], [], [4]]
    assert parallel_groups(str, groups, CPU) == [["1", "2", "3"], [], ["4"]]
    assert parallel(str, [], CPU) == []


def test_items_are_worked_on_at_the_same_time(two_threads: None) -> None:
    together = Barrier(COUNT, timeout=30.0)
    parallel(lambda _: together.wait(), range(COUNT), CPU)  # raises if one waits for the other


@pytest.mark.parametrize("inference", [False, True])
def test_each_thread_is_single_and_has_the_callers_mode(two_threads: None, inference: bool) -> None:
    with torch.inference_mode(inference):
        found = parallel(_threads, range(8), CPU)
    assert all(name.startswith("photoreal-blocks") for name, _, _ in found)
    assert {(count, mode) for _, count, mode in found} == {(1, inference)}
    # Neither the caller nor a thread that starts later is limited.
    counts = [torch.get_num_threads()]
    later = Thread(target=lambda: counts.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert counts == [COUNT, COUNT]


def test_an_exception_reaches_the_caller(two_threads: None) -> None:
    with pytest.raises(ValueError, match="three"):
        parallel(int, ["1", "2", "three", "4"], CPU)


def test_no_thread_is_used_where_it_would_not_help(
    two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = current_thread().name
    assert parallel(_threads, [0], CPU)[0][0] == own
    with monkeypatch.context() as patch:
        patch.setattr(devices, "is_queued", lambda device: True)
        assert {name for name, _, _ in parallel(_threads, range(4), CPU)} == {own}
    torch.set_num_threads(1)
    assert {name for name, _, _ in parallel(_threads, range(4), CPU)} == {own}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system cannot fork.")
@pytest.mark.slow
def test_a_forked_process_starts_threads_of_its_own() -> None:
    script = """
import os, torch
from photoreal.threads import parallel
torch.set_num_threads(2)
cpu = torch.device("cpu")
parallel(str, range(4), cpu)
child = os.fork()
if not child:
    os._exit(parallel(str, range(4), cpu) != ["0", "1", "2", "3"])
raise SystemExit(os.waitpid(child, 0)[1])
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def _soft() -> torch.Tensor:
    content, style = (smooth_image(96, 160, seed) for seed in (1, 2))
    weights = np.random.default_rng(0).random((3, 96, 160), dtype=np.float32) ** 8
    weights[:, :, :70] = np.array([1.0, 0.0, 0.0], np.float32)[:, None, None]
    weights /= weights.sum(axis=0)
    measures = couple_measures(measure_soft(SoftImage(style, weights), narrow_engine()), np.eye(3))
    return apply_soft(SoftImage(content, weights), measures, narrow_engine())


def _hard() -> torch.Tensor:
    labels = np.zeros((96, 160), np.uint8)
    labels[40:, 30:], labels[:20, ::3] = 1, 2
    content, style = (LabelledImage(smooth_image(96, 160, seed), labels) for seed in (1, 2))
    return transfer(content, style, [Pair(k, k) for k in range(3)], narrow_engine(), blend=4)


@pytest.mark.parametrize("transferred", [_soft, _hard])
def test_a_transfer_by_several_threads_is_that_by_one(transferred: Any, two_threads: None) -> None:
    by_two = transferred()
    torch.set_num_threads(1)
    assert psnr(by_two, transferred()) > 100.0  # convolutions add in another order


@pytest.mark.parametrize("transferred", [_soft, _hard])
def test_moments_roots_and_bands_are_computed_by_the_threads(
    transferred: Any, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[str]] = {}

    def watch(module: Any, name: str) -> None:
        function = getattr(module, name)

        def watched(*given: Any, **named: Any) -> Any:
            seen.setdefault(name, []).append(current_thread().name)
            return function(*given, **named)

        monkeypatch.setattr(module, name, watched)

    watch(region_transform, "part_moments")
    watch(soft_transform, "part_moments")
    watch(roots, "_power")
    monkeypatch.setattr(wavelet, "_BLOCK_BYTES", 1 << 14)
    watch(wavelet, "_split")
    transferred()
    assert set(seen) == {"part_moments", "_power", "_split"}
    assert all(name.startswith("photoreal-blocks") for names in seen.values() for name in names)
