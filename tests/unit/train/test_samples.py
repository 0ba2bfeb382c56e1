"""Training samples: crops that depend on their number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from photoreal.errors import TrainingError
from photoreal.train.samples import TARGET_STRIDE, Samples
from photoreal.train.settings import Settings, Stage
from photoreal.train.sources import IGNORE, SKY, list_photos, read_all
from photoreal.train.tables import CLASSES

MakeSettings = Callable[..., Settings]
MakeSamples = Callable[..., Samples]


@pytest.fixture(scope="module")
def make_samples(data: Path) -> MakeSamples:
    """Makes samples of the landscapes."""
    items = list_photos(data, "train")
    pictures = read_all(items)
    return lambda settings: Samples(items, pictures, settings)


def test_a_batch_depends_on_seed_and_step_alone(
    make_samples: MakeSamples, settings: MakeSettings
) -> None:
    samples = make_samples(settings())
    images, targets = samples.batch(3)
    samples.batch(0)
    for again in (samples.batch(3), make_samples(settings()).batch(3)):
        assert torch.equal(again[0], images)
        assert torch.equal(again[1], targets)
    for other in (samples.batch(2), make_samples(settings(seed=2)).batch(3)):
        assert not torch.equal(other[0], images)


@pytest.mark.parametrize(
    ("step", "position", "side"), [(0, None, 64), (3, None, 64), (4, None, 72), (0, 5, 72)]
)
def test_crops_have_their_stage_s_size(
    step: int,
    position: int | None,
    side: int,
    make_samples: MakeSamples,
    settings: MakeSettings,
) -> None:
    images, targets = make_samples(settings()).batch(step, position)
    assert images.shape == (2, 3, side, side)
    assert images.dtype == torch.float32
    assert targets.shape == (2, side // TARGET_STRIDE, side // TARGET_STRIDE)


def test_values_are_a_picture_s_and_targets_are_known(
    make_samples: MakeSamples, settings: MakeSettings
) -> None:
    samples = make_samples(settings(stages=(Stage(6, 64, 6),)))
    seen: set[int] = set()
    for step in range(6):
        images, targets = samples.batch(step)
        assert torch.isfinite(images).all()
        assert 0 <= images.min() <= images.max() <= 1
        seen |= set(targets.flatten().tolist())
    assert {SKY, CLASSES.index("ground")} <= seen <= {SKY, CLASSES.index("ground"), IGNORE}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crops keep their own light."""
    monkeypatch.setattr(
        "photoreal.train.samples.relight", lambda pictures, targets, random: pictures
    )


@pytest.mark.usefixtures("plain")
def test_crop_and_targets_stay_together(make_samples: MakeSamples, settings: MakeSettings) -> None:
    """The landscapes' sky is blue; in their own light it is so in every crop."""
    images, targets = make_samples(settings(stages=(Stage(1, 64, 12),), clouds=0.0)).batch(0)
    small = images[:, :, ::TARGET_STRIDE, ::TARGET_STRIDE]
    right = (small[:, 2] - small[:, 0] > 0.2) == (targets == SKY)
    for one, known in zip(right, targets != IGNORE, strict=True):
        assert one[known].float().mean() > 0.97


@pytest.mark.usefixtures("plain")
def test_a_crop_is_the_photo_between_its_pixels(settings: MakeSettings, data: Path) -> None:
    """A photo of a ramp in each direction shows where every pixel of a crop lies in it."""
    height, width = 90, 120
    ramp = np.zeros((height, width, 3), dtype=np.uint8)
    ramp[..., 0] = 2 * np.arange(height)[:, None]
    ramp[..., 1] = 2 * np.arange(width)
    targets = np.full((height, width), SKY, dtype=np.uint8)
    item = list_photos(data, "train")[0]
    samples = Samples([item], [(ramp, targets)], settings(stages=(Stage(1, 64, 40),), clouds=0.0))
    images, _ = samples.batch(0)
    places = images[:, :2] * 255 / 2
    steps = places[:, 0].diff(dim=1), places[:, 1].diff(dim=2)
    for step in steps:  # evenly spaced, but at the photo's edge
        middle = step[:, 2:-2, 2:-2]
        spread = middle.flatten(1).max(dim=1).values - middle.flatten(1).min(dim=1).values
        assert spread.max() < 0.02
    assert (steps[0] >= 0).all()
    mirrored = steps[1].mean(dim=(1, 2)) < 0
    assert 0.2 < mirrored.float().mean() < 0.8
    across = steps[1].mean(dim=(1, 2)).abs() * 64
    assert across.max() <= width
    assert across.min() < 0.5 * height  # a zoom of up to 460 pixels' short side


@pytest.mark.usefixtures("plain")
def test_sources_come_as_often_as_their_shares_say(
    tmp_path: Path, write_photo: Callable[..., Path], settings: MakeSettings
) -> None:
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
    stage = Stage(1, 64, 200)
    samples = Samples(items, pictures, settings(shares=shares, stages=(stage,), clouds=0.0))
    found = Counter(samples.batch(0)[0].mean(dim=(1, 2, 3)).round().int().tolist())
    assert set(found) == {0, 1}
    assert 0.15 < found[1] / 200 < 0.35
    one = Samples(items, pictures, settings(shares={"camvid": 1.0, "ade_sky": 0.0}))
    assert one._members == {"camvid": [0]}


def test_shares_of_sources_without_photos_alone_are_refused(
    make_samples: MakeSamples, settings: MakeSettings
) -> None:
    with pytest.raises(TrainingError, match=r"No source with photos has a share .*camvid\."):
        make_samples(settings(shares={"ade_sky": 1.0, "camvid": 0.0}))


def test_clouds_come_from_their_step_on(make_samples: MakeSamples, settings: MakeSettings) -> None:
    stages = (Stage(4, 64, 8),)
    clear = make_samples(settings(stages=stages, clouds=0.0, clouds_from=2))
    cloudy = make_samples(settings(stages=stages, clouds=1.0, clouds_from=2))
    for step in range(4):
        ours, theirs = cloudy.batch(step), clear.batch(step)
        assert torch.equal(ours[1], theirs[1])
        different = (ours[0] != theirs[0]).flatten(1).any(dim=1)
        assert different.any() == (step >= 2)
    assert torch.equal(cloudy.batch(0, 1)[0], clear.batch(0, 1)[0])
    assert not torch.equal(cloudy.batch(0, 2)[0], clear.batch(0, 2)[0])
