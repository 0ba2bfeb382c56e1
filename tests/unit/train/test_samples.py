"""Training samples: crops that depend on their number alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from photoreal.errors import TrainingError
from photoreal.train.samples import TARGET_STRIDE, Samples, batches
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


def test_a_sample_depends_on_seed_step_and_place_alone(
    make_samples: MakeSamples, settings: MakeSettings
) -> None:
    samples = make_samples(settings())
    image, targets = samples[3, 1]
    samples[0, 0]
    for again in (samples[3, 1], make_samples(settings())[3, 1]):
        assert torch.equal(again[0], image)
        assert torch.equal(again[1], targets)
    for other in (samples[2, 1], samples[3, 0], make_samples(settings(seed=2))[3, 1]):
        assert not torch.equal(other[0], image)


@pytest.mark.parametrize(("step", "side"), [(0, 64), (3, 64), (4, 72), (5, 72)])
def test_crops_have_their_stage_s_size(
    step: int, side: int, make_samples: MakeSamples, settings: MakeSettings
) -> None:
    image, targets = make_samples(settings())[step, 0]
    assert image.shape == (3, side, side)
    assert image.dtype == torch.float32
    assert targets.shape == (side // TARGET_STRIDE, side // TARGET_STRIDE)
    assert targets.dtype == torch.int64


def test_values_are_a_picture_s_and_targets_are_known(
    make_samples: MakeSamples, settings: MakeSettings
) -> None:
    samples = make_samples(settings())
    seen: set[int] = set()
    for step in range(6):
        for place in range(6):
            image, targets = samples[step, place]
            assert torch.isfinite(image).all()
            assert 0 <= image.min() <= image.max() <= 1
            seen |= set(np.unique(targets.numpy()).tolist())
    assert {SKY, CLASSES.index("ground")} <= seen <= {SKY, CLASSES.index("ground"), IGNORE}


def test_crop_and_targets_stay_together(
    make_samples: MakeSamples, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The landscapes' sky is blue; in their own light it is so in every crop."""
    monkeypatch.setattr("photoreal.train.samples.relight", lambda picture, targets, random: picture)
    samples = make_samples(settings())
    for place in range(12):
        image, targets = samples[0, place]
        small = image[:, ::TARGET_STRIDE, ::TARGET_STRIDE]
        blue = small[2] - small[0] > 0.2
        known = targets != IGNORE
        assert (blue == (targets == SKY))[known].float().mean() > 0.97


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
    samples = Samples(items, pictures, settings(shares=shares))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("photoreal.train.samples.relight", lambda picture, targets, random: picture)
        found = Counter(round(float(samples[0, place][0].mean())) for place in range(200))
    assert set(found) == {0, 1}
    assert 0.15 < found[1] / 200 < 0.35
    one = Samples(items, pictures, settings(shares={"camvid": 1.0, "ade_sky": 0.0}))
    assert one._members == {"camvid": [0]}


def test_shares_of_sources_without_photos_alone_are_refused(
    make_samples: MakeSamples, settings: MakeSettings
) -> None:
    with pytest.raises(TrainingError, match=r"No source with photos has a share .*camvid\."):
        make_samples(settings(shares={"ade_sky": 1.0, "camvid": 0.0}))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_batches_are_the_same_with_and_without_workers(
    make_samples: MakeSamples, settings: MakeSettings
) -> None:
    chosen = settings(stages=(Stage(2, 64, 3), Stage(1, 72, 2)))
    samples = make_samples(chosen)
    plain, helped = (list(batches(samples, chosen, 0, workers)) for workers in (0, 1))
    assert [len(images) for images, _ in plain] == [3, 3, 2]
    for ours, theirs in zip(plain, helped, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
    later = list(batches(samples, chosen, 2, 0))
    assert len(later) == 1
    assert torch.equal(later[0][0], plain[2][0])


def test_clouds_come_from_their_step_on(make_samples: MakeSamples, settings: MakeSettings) -> None:
    clear = make_samples(settings(clouds=0.0))
    cloudy = make_samples(settings(clouds=1.0, clouds_from=2))
    changed = []
    for step in range(4):
        for place in range(3):
            ours, theirs = cloudy[step, place], clear[step, place]
            assert torch.equal(ours[1], theirs[1])
            has_sky = bool((theirs[1] == SKY).any())
            changed.append((step, has_sky, not torch.equal(ours[0], theirs[0])))
    assert not [one for one in changed if one[0] < 2 and one[2]]
    assert all(different for step, has_sky, different in changed if step >= 2 and has_sky)
    assert any(different for _, _, different in changed)
