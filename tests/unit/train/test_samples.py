"""Training samples: crops that depend on their number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from photoreal.errors import TrainingError
from photoreal.train.loop import Photos
from photoreal.train.samples import TARGET_STRIDE, Samples, batches
from photoreal.train.settings import Stage
from photoreal.train.sources import IGNORE, SKY, list_photos
from photoreal.train.tables import CLASSES

from .conftest import SMALL, write_photo

MakeSamples = Callable[..., Samples]


@pytest.fixture
def make_samples(train: Photos) -> MakeSamples:
    """Makes samples of the landscapes."""
    return lambda **given: Samples(*train, replace(SMALL, **given))


@pytest.fixture
def own_light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photoreal.train.samples.relight", lambda picture, targets, random: picture)


def _same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_sample_depends_on_seed_step_and_place_alone(make_samples: MakeSamples) -> None:
    samples = make_samples()
    sample = samples[2, 1]
    assert _same(samples[2, 1], sample)
    assert _same(make_samples()[2, 1], sample)
    for other in (samples[1, 1], samples[2, 0], make_samples(seed=2)[2, 1]):
        assert not torch.equal(other[0], sample[0])


def test_values_are_a_picture_s_and_targets_are_known(make_samples: MakeSamples) -> None:
    samples = make_samples()
    seen: set[int] = set()
    for step in range(6):
        side = 64 if step < 3 else 72  # of its stage
        for place in range(6):
            image, targets = samples[step, place]
            assert image.shape == (3, side, side)
            assert image.dtype == torch.float32
            assert targets.shape == (side // TARGET_STRIDE, side // TARGET_STRIDE)
            assert targets.dtype == torch.int64
            assert torch.isfinite(image).all()
            assert 0 <= image.min() <= image.max() <= 1
            seen |= set(np.unique(targets.numpy()).tolist())
    assert {SKY, CLASSES.index("ground")} <= seen <= {SKY, CLASSES.index("ground"), IGNORE}


def test_crop_and_targets_stay_together(make_samples: MakeSamples, own_light: None) -> None:
    """The landscapes' sky is blue; in their own light it is so in every crop."""
    samples = make_samples()
    for place in range(12):
        image, targets = samples[0, place]
        small = image[:, ::TARGET_STRIDE, ::TARGET_STRIDE]
        blue, known = small[2] - small[0] > 0.2, targets != IGNORE
        assert (blue == (targets == SKY))[known].float().mean() > 0.97


def test_sources_come_as_often_as_their_shares_say(tmp_path: Path, own_light: None) -> None:
    for source in ("camvid", "ade_sky"):
        write_photo(tmp_path, source, "train", 0)
    items = list_photos(tmp_path, "train")
    # The sources' photos are of one color each; a third source has a share and no photos.
    colors = {"camvid": 0, "ade_sky": 255}
    pictures = [
        (np.full((80, 96, 3), colors[item.source], np.uint8), np.full((80, 96), SKY, np.uint8))
        for item in items
    ]
    shares = {"camvid": 0.3, "ade_sky": 0.1, "labelmefacade": 0.6}
    samples = Samples(items, pictures, replace(SMALL, shares=shares))
    found = Counter(round(float(samples[0, place][0].mean())) for place in range(200))
    assert set(found) == {0, 1}
    assert 0.15 < found[1] / 200 < 0.35
    one = Samples(items, pictures, replace(SMALL, shares={"camvid": 1.0, "ade_sky": 0.0}))
    assert one._members == {"camvid": [0]}


def test_shares_of_sources_without_photos_alone_are_refused(make_samples: MakeSamples) -> None:
    with pytest.raises(TrainingError, match=r"No source with photos has a share .*camvid\."):
        make_samples(shares={"ade_sky": 1.0, "camvid": 0.0})


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_batches_are_the_same_with_and_without_workers(make_samples: MakeSamples) -> None:
    stages = (Stage(2, 64, 3), Stage(1, 72, 2))
    samples, settings = make_samples(stages=stages), replace(SMALL, stages=stages)
    plain, helped = (list(batches(samples, settings, 0, workers)) for workers in (0, 1))
    assert [len(images) for images, _ in plain] == [3, 3, 2]
    for ours, theirs in zip(plain, helped, strict=True):
        assert _same(ours, theirs)
    (later,) = batches(samples, settings, 2, 0)
    assert _same(later, plain[2])


def test_clouds_come_from_their_step_on(make_samples: MakeSamples) -> None:
    clear, cloudy = make_samples(clouds=0.0), make_samples(clouds=1.0, clouds_from=2)
    changed = []
    for step in range(4):
        for place in range(3):
            ours, theirs = cloudy[step, place], clear[step, place]
            assert torch.equal(ours[1], theirs[1])
            different, has_sky = not torch.equal(ours[0], theirs[0]), (theirs[1] == SKY).any()
            assert different <= (step >= 2)
            changed += [different] if step >= 2 and has_sky else []
    assert changed
    assert all(changed)
