"""Frames of a video: what is remembered of a shot, for how long, and what it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.contract import Unpool
from photoreal.pipeline.request import Shot
from photoreal.pipeline.sequences import SequenceStore, SteadyRegions
from photoreal.pipeline.wct2.model import serve_wct2
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.transfer.progressive import NetworkEngine
from photoreal.transfer.steady import FORGET_AFTER, SteadyMoments
from photoreal.transfer.whitening import Moments, moments

Array = npt.NDArray[Any]


def _moments(seed: int) -> Moments:
    return moments([torch.randn((3, 50), generator=torch.Generator().manual_seed(seed))])


class TestMoments:
    def test_the_first_frame_is_used_as_it_is_and_the_next_lie_between(self) -> None:
        memory, one, two = SteadyMoments(), _moments(1), _moments(2)
        assert memory("sky", one, 0.75) is one
        memory.next_frame()
        found = memory("sky", two, 0.75)
        torch.testing.assert_close(found.mean, 0.75 * one.mean + 0.25 * two.mean)
        torch.testing.assert_close(found.covariance, 0.75 * one.covariance + 0.25 * two.covariance)
        assert found.low == pytest.approx(0.75 * one.low + 0.25 * two.low)
        assert found.high == pytest.approx(0.75 * one.high + 0.25 * two.high)
        assert memory("water", two, 0.75) is two

    @pytest.mark.parametrize(("gone", "known"), [(FORGET_AFTER, True), (FORGET_AFTER + 1, False)])
    def test_a_region_that_was_gone_for_long_starts_anew(self, gone: int, known: bool) -> None:
        memory, one, two = SteadyMoments(), _moments(1), _moments(2)
        memory("sky", one, 0.5)
        for _ in range(gone):
            memory.next_frame()
        assert (memory("sky", two, 0.5) is not two) == known

    def test_bytes(self) -> None:
        memory = SteadyMoments()
        assert memory.bytes == 0
        memory("sky", _moments(1), 0.5)
        assert memory.bytes == 4 * (3 + 9)


class Note:
    """A memory of some size."""

    def __init__(self) -> None:
        self.bytes = 10


class TestStore:
    @pytest.fixture
    def now(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def store(self, now: list[float]) -> SequenceStore[Note]:
        return SequenceStore(Note, count=3, limit=100, age_s=60, clock=lambda: now[0])

    def _kept(self, store: SequenceStore[Note], name: bytes) -> Note:
        note = store.get(name, "fits")
        store.keep(name, "fits", note)
        return note

    def test_a_shot_finds_its_memory(self, store: SequenceStore[Note]) -> None:
        note = self._kept(store, b"a")
        assert store.get(b"a", "fits") is note
        assert store.get(b"b", "fits") is not note

    def test_other_settings_start_anew(self, store: SequenceStore[Note]) -> None:
        note = self._kept(store, b"a")
        assert store.get(b"a", "another size") is not note

    def test_the_shot_used_longest_ago_goes_first(self, store: SequenceStore[Note]) -> None:
        first = self._kept(store, b"a")
        second = self._kept(store, b"b")
        self._kept(store, b"c")
        self._kept(store, b"a")
        self._kept(store, b"d")
        assert len(store) == 3
        assert store.get(b"a", "fits") is first
        assert store.get(b"b", "fits") is not second

    def test_bytes_are_bounded(self, store: SequenceStore[Note]) -> None:
        self._kept(store, b"a")
        large = store.get(b"b", "fits")
        large.bytes = 95
        store.keep(b"b", "fits", large)
        assert store.bytes == 95
        large.bytes = 101
        store.keep(b"b", "fits", large)
        assert (len(store), store.bytes) == (0, 0)

    def test_old_shots_are_let_go(self, store: SequenceStore[Note], now: list[float]) -> None:
        note = self._kept(store, b"a")
        now[0] = 61
        assert store.get(b"a", "fits") is not note
        assert len(store) == 0


def test_probabilities_are_averaged_within_a_shot() -> None:
    regions = SteadyRegions()
    sky, trees = (np.full((2, 3, 4), value, dtype=np.float32) for value in (1, 0))
    assert regions.smooth(Shot(b"a", 0.75), sky) is sky
    np.testing.assert_allclose(regions.smooth(Shot(b"a", 0.75), trees), 0.75)
    np.testing.assert_allclose(regions.smooth(Shot(b"a", 0.75), trees), 0.5625)
    assert regions.smooth(Shot(b"b", 0.75), trees) is trees
    larger = np.zeros((2, 4, 4), dtype=np.float32)
    assert regions.smooth(Shot(b"a", 0.75), larger) is larger


class TestTransfer:
    @pytest.fixture
    def serve(self, builtin_engine: Callable[[Unpool], NetworkEngine]) -> Callable[..., Array]:
        engine, cache = builtin_engine("cat5"), StyleCache(1 << 28)
        store = SequenceStore(SteadyMoments)

        def run(content: Tensor, style: Tensor, **more: Any) -> Array:
            tensors: dict[str, Callable[[Any], Array]] = {
                "sequence": lambda value: np.array([value], dtype=object),
                "steady": lambda value: np.array([value], dtype=np.float32),
                "alpha": lambda value: np.array([value], dtype=np.float32),
            }
            inputs = {"CONTENT": content[0].numpy(), "STYLE": style[0].numpy()}
            inputs |= {name.upper(): tensors[name](value) for name, value in more.items()}
            return serve_wct2(inputs, engine, cache, store)["IMAGE"]

        return run

    def test_frames_of_a_shot_share_and_others_do_not(
        self, serve: Callable[..., Array], random_image: Callable[..., Tensor]
    ) -> None:
        style = random_image(32, 32, seed=9)
        one, two = random_image(32, 40), 0.5 * random_image(32, 40, seed=1)
        alone = serve(two, style)
        first = serve(one, style, sequence=b"a")
        np.testing.assert_array_equal(first, serve(one, style))
        second = serve(two, style, sequence=b"a")
        assert np.abs(second - alone).max() > 0.01
        np.testing.assert_array_equal(serve(two, style), alone)
        np.testing.assert_array_equal(serve(two, style, sequence=b"b"), alone)
        np.testing.assert_allclose(serve(two, style, sequence=b"a", steady=0), alone, atol=1e-4)

    @pytest.mark.parametrize("change", ["style", "alpha", "size"])
    def test_other_settings_begin_anew(
        self, change: str, serve: Callable[..., Array], random_image: Callable[..., Tensor]
    ) -> None:
        content, style = random_image(32, 40), random_image(32, 32, seed=9)
        serve(0.5 * content, style, sequence=b"a")
        options: dict[str, Any] = {}
        if change == "style":
            style = random_image(32, 32, seed=10)
        elif change == "alpha":
            options["alpha"] = 0.5
        else:
            content = random_image(32, 48)
        found = serve(content, style, sequence=b"a", **options)
        np.testing.assert_array_equal(found, serve(content, style, **options))

    def test_a_steady_map_keeps_a_still_thing_still(
        self, serve: Callable[..., Array], random_image: Callable[..., Tensor]
    ) -> None:
        """What comes into view on one side changes the other side the less, the steadier."""
        style = random_image(32, 32, seed=9)
        before = random_image(32, 48)
        after = before.clone()
        after[..., 36:] = 1.0
        still = np.s_[:, 8:24, 8:20]

        def jump(**options: Any) -> float:
            pictures = [serve(frame, style, **options)[still] for frame in (before, after)]
            return float(np.abs(pictures[0] - pictures[1]).mean())

        shares = (0.4, 0.8, 0.95)
        jumps = [jump(), *(jump(sequence=b"%f" % share, steady=share) for share in shares)]
        assert jumps == sorted(jumps, reverse=True)
        assert len(set(jumps)) == len(jumps)
