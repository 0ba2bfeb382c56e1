"""The light that training samples are put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from photoreal.train import augment
from photoreal.train.augment import paint_clouds, relight
from photoreal.train.sources import IGNORE, NOT, SKY, list_photos, read_all
from photoreal.train.tables import CLASSES


@pytest.fixture(scope="module")
def picture(data: Path) -> tuple[augment.Picture, augment.Targets]:
    photo, targets = read_all(list_photos(data, "train")[:1])[0]
    targets = targets.copy()
    targets[-5:] = NOT + SKY
    return photo.astype(np.float32) / np.float32(255), targets


def test_light_keeps_the_range_the_type_and_the_size(
    picture: tuple[augment.Picture, augment.Targets],
) -> None:
    photo, targets = picture
    before = photo.copy(), targets.copy()
    changes = []
    for seed in range(80):
        lit = relight(photo, targets, np.random.default_rng(seed))
        assert lit.dtype == np.float32
        assert lit.shape == photo.shape
        assert np.isfinite(lit).all()
        assert 0 <= lit.min() <= lit.max() <= 1
        changes.append(float(np.abs(lit - photo).mean()))
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(targets, before[1])
    assert min(changes) < 0.1
    assert max(changes) > 0.3


def test_light_can_be_made_again(picture: tuple[augment.Picture, augment.Targets]) -> None:
    for seed in range(20):
        one, other = (relight(*picture, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_pictures_stay_pictures(value: float) -> None:
    photo = np.full((64, 64, 3), value, dtype=np.float32)
    targets = np.full((64, 64), IGNORE, dtype=np.uint8)
    for seed in range(40):
        lit = relight(photo, targets, np.random.default_rng(seed))
        assert np.isfinite(lit).all()
        assert 0 <= lit.min() <= lit.max() <= 1


def test_night_is_dark_and_snow_is_white(
    picture: tuple[augment.Picture, augment.Targets],
) -> None:
    photo, targets = picture
    ground = targets == CLASSES.index("ground")
    for seed in range(10):
        assert augment._night(photo, np.random.default_rng(seed)).mean() < 0.6 * photo.mean()
        snow = augment._snow(photo, targets, np.random.default_rng(seed))
        assert snow[ground].mean() > photo[ground].mean() + 0.1
        np.testing.assert_array_equal(snow[targets == SKY], photo[targets == SKY])


def test_clouds_change_the_sky_alone(picture: tuple[augment.Picture, augment.Targets]) -> None:
    photo, targets = picture
    before = photo.copy()
    sky = targets == SKY
    far = ~sky
    for shift in (-2, -1, 1, 2):  # the border of the sky is soft
        far &= ~np.roll(sky, shift, axis=0) & ~np.roll(sky, shift, axis=1)
    assert far.any()
    changes = []
    for seed in range(30):
        cloudy = paint_clouds(photo, targets, np.random.default_rng(seed))
        assert cloudy.dtype == np.float32
        assert cloudy.shape == photo.shape
        assert -1e-6 <= cloudy.min() <= cloudy.max() <= 1 + 1e-6
        np.testing.assert_array_equal(cloudy[far], photo[far])
        changes.append(float(np.abs(cloudy - photo)[sky].mean()))
        again = paint_clouds(photo, targets, np.random.default_rng(seed))
        np.testing.assert_array_equal(again, cloudy)
    np.testing.assert_array_equal(photo, before)
    assert np.median(changes) > 0.05
