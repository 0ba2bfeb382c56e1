"""Frames of a video: what is remembered of a shot, for how long, and what it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.pipeline.request import Shot
from photoreal.pipeline.sequences import SequenceStore, SteadyRegions
from photoreal.pipeline.wct2.model import serve_wct2
from photoreal.pipeline.wct2.style_cache import StyleCache
from photoreal.transfer.steady import FORGET_AFTER, SteadyMoments
from photoreal.transfer.whitening import Moments, moments
from tests.shared import Array, narrow_engine, random_image


def _moments(seed: int) -> Moments:
    return moments([torch.randn((3, 50), generator=torch.Generator().manual_seed(seed))])


class TestMoments:
    def test_the_first_frame_is_used_as_it_is_and_the_next_lie_between(self) -> None:
        memory, one, two = SteadyMoments(), _moments(1), _moments(2)
        assert memory.bytes == 0
        assert memory("sky", one, 0.75) is one
        assert memory.bytes == 4 * (3 + 9)
        memory.next_frame()
        found = memory("sky", two, 0.75)
        for value, before, now in zip(found, one, two, strict=True):
            torch.testing.assert_close(value, 0.75 * before + 0.25 * now)
        assert memory("water", two, 0.75) is two

    @pytest.mark.parametrize(("gone", "known"), [(FORGET_AFTER, True), (FORGET_AFTER + 1, False)])
    def test_a_region_that_was_gone_for_long_begins_again(self, gone: int, known: bool) -> None:
        memory, one, two = SteadyMoments(), _moments(1), _moments(2)
        memory("sky", one, 0.5)
        for _ in range(gone):
            memory.next_frame()
        assert (memory("sky", two, 0.5) is not two) == known


class Note:
    """A memory of some size."""

    bytes = 10


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

    def test_a_shot_finds_its_memory_with_the_same_settings_until_it_is_old(
        self, store: SequenceStore[Note], now: list[float]
    ) -> None:
        note = self._kept(store, b"a")
        assert store.get(b"a", "fits") is note
        assert store.get(b"b", "fits") is not note
        now[0] = 61
        assert store.get(b"a", "fits") is not note
        assert len(store) == 0
        note = self._kept(store, b"a")
        assert store.get(b"a", "another size") is not note

    def test_the_shot_used_longest_ago_goes_first(self, store: SequenceStore[Note]) -> None:
        first, second, *_ = [self._kept(store, name) for name in (b"a", b"b", b"c", b"a", b"d")]
        assert len(store) == 3
        assert store.get(b"a", "fits") is first
        assert store.get(b"b", "fits") is not second

    def test_bytes_are_bounded(self, store: SequenceStore[Note]) -> None:
        self._kept(store, b"a")
        large = store.get(b"b", "fits")
        for size, kept in ((95, 95), (101, 0)):
            large.bytes = size
            store.keep(b"b", "fits", large)
            assert (len(store), store.bytes) == (bool(kept), kept)


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
    STYLE = random_image(16, 16, seed=9)

    @pytest.fixture(autouse=True)
    def _store(self) -> None:
        self.cache, self.store = StyleCache(1 << 28), SequenceStore(SteadyMoments)

    def _serve(self, content: Tensor, style: Tensor = STYLE, **more: Any) -> Array:
        inputs: dict[str, Array] = {"CONTENT": content[0].numpy(), "STYLE": style[0].numpy()}
        for name, value in more.items():
            dtype = object if isinstance(value, bytes) else np.float32
            inputs[name.upper()] = np.array([value], dtype=dtype)
        return serve_wct2(inputs, narrow_engine(), self.cache, self.store)["IMAGE"]

    def test_frames_of_a_shot_share_and_others_do_not(self) -> None:
        one, two = random_image(16, 24), 0.5 * random_image(16, 24, seed=1)
        alone = self._serve(two)
        np.testing.assert_array_equal(self._serve(one, sequence=b"a"), self._serve(one))
        assert np.abs(self._serve(two, sequence=b"a") - alone).max() > 0.01
        np.testing.assert_array_equal(self._serve(two), alone)
        np.testing.assert_array_equal(self._serve(two, sequence=b"b"), alone)
        np.testing.assert_allclose(self._serve(two, sequence=b"a", steady=0), alone, atol=1e-4)

    @pytest.mark.parametrize(
        "change",
        [
            {"style": random_image(16, 16, seed=10)},
            {"alpha": 0.5},
            {"content": random_image(24, 24)},
        ],
        ids=["style", "alpha", "size"],
    )
    def test_other_settings_of_a_frame_begin_again(self, change: dict[str, Any]) -> None:
        content = random_image(16, 24)
        self._serve(0.5 * content, sequence=b"a")
        given = {"content": content} | change
        np.testing.assert_array_equal(self._serve(**given, sequence=b"a"), self._serve(**given))

    def test_a_steady_map_keeps_a_still_object_still(self) -> None:
        """What comes into view on one side changes the other side the less, the steadier."""
        before = random_image(24, 40)
        after = before.clone()
        after[..., 32:] = 1.0
        still = np.s_[:, 4:20, 4:16]

        def jump(**options: Any) -> float:
            one, two = (self._serve(frame, **options)[still] for frame in (before, after))
            return float(np.abs(one - two).mean())

        shares = (0.4, 0.8, 0.95)
        jumps = [jump(), *(jump(sequence=b"%f" % share, steady=share) for share in shares)]
        assert jumps == sorted(jumps, reverse=True)
        assert len(set(jumps)) == len(jumps)
