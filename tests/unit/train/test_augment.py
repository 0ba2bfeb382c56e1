"""The light that training samples are put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.train import augment
from photoreal.train.augment import paint_clouds, relight
from photoreal.train.damage import add_noise, blur, compress
from photoreal.train.sources import IGNORE, NOT, SKY, list_photos, read_all
from photoreal.train.tables import CLASSES

COUNT = 24


@pytest.fixture(scope="module")
def batch(data: Path) -> tuple[Tensor, Tensor]:
    """One landscape many times: (N, 3, 80, 96) and its targets, the lowest rows "not sky"."""
    photo, targets = read_all(list_photos(data, "train")[:1])[0]
    targets = targets.copy()
    targets[-5:] = NOT + SKY
    picture = torch.tensor(photo).permute(2, 0, 1) / 255
    return picture.repeat(COUNT, 1, 1, 1), torch.from_numpy(targets).repeat(COUNT, 1, 1)


def _random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _is_picture(found: Tensor, like: Tensor) -> bool:
    fits = found.dtype == torch.float32 and found.shape == like.shape
    return (
        fits
        and bool(torch.isfinite(found).all())
        and 0 <= float(found.min()) <= float(found.max()) <= 1
    )


def test_light_keeps_the_range_the_type_and_the_size(batch: tuple[Tensor, Tensor]) -> None:
    pictures, targets = batch
    before = pictures.clone(), targets.clone()
    changes: list[float] = []
    for seed in range(4):
        lit = relight(pictures, targets, _random(seed))
        assert _is_picture(lit, pictures)
        changes += (lit - pictures).abs().mean(dim=(1, 2, 3)).tolist()
    assert torch.equal(pictures, before[0])
    assert torch.equal(targets, before[1])
    assert min(changes) < 0.1
    assert max(changes) > 0.3


def test_light_can_be_made_again(batch: tuple[Tensor, Tensor]) -> None:
    one, other = (relight(*batch, _random(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert not torch.equal(one, relight(*batch, _random(4)))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_pictures_stay_pictures(value: float) -> None:
    pictures = torch.full((COUNT, 3, 64, 64), value)
    targets = torch.full((COUNT, 64, 64), IGNORE, dtype=torch.uint8)
    for seed in range(3):
        assert _is_picture(relight(pictures, targets, _random(seed)), pictures)


def test_night_is_dark_and_snow_is_white(batch: tuple[Tensor, Tensor]) -> None:
    pictures, targets = batch
    ground = (targets == CLASSES.index("ground"))[:, None].expand_as(pictures)
    sky = (targets == SKY)[:, None].expand_as(pictures)
    night = augment._night(pictures, targets, _random())
    assert (night.mean(dim=(1, 2, 3)) < 0.6 * pictures.mean(dim=(1, 2, 3))).all()
    assert torch.equal(augment._night(0.3 * pictures, targets, _random()), 0.3 * pictures)
    snow = augment._snow(pictures, targets, _random())
    assert snow[ground].mean() > pictures[ground].mean() + 0.1
    assert torch.equal(snow[sky], pictures[sky])


def test_dusk_darkens_the_land_and_needs_a_sky(batch: tuple[Tensor, Tensor]) -> None:
    pictures, targets = batch
    dusk = augment._dusk(pictures, targets, _random())
    far = F.max_pool2d((targets == SKY).float()[:, None], 3, 1, 1)[:, 0] == 0
    for one, before, land in zip(dusk, pictures, far, strict=True):
        assert one[:, land].mean() < 0.7 * before[:, land].mean()
        assert one[:, ~land].mean() > one[:, land].mean() + 0.1
    targets = torch.where(targets == SKY, IGNORE, targets)
    assert torch.equal(augment._dusk(pictures, targets, _random()), pictures)


def test_clouds_change_the_sky_alone(batch: tuple[Tensor, Tensor]) -> None:
    pictures, targets = batch
    before = pictures.clone()
    sky = targets == SKY
    # The border of the sky is soft.
    far = (F.max_pool2d(sky.float()[:, None], 3, 1, 1) == 0).expand_as(pictures)
    cloudy, again = (paint_clouds(pictures, targets, _random()) for _ in range(2))
    assert _is_picture(cloudy.clamp(0, 1), pictures)
    torch.testing.assert_close(cloudy, cloudy.clamp(0, 1), rtol=0, atol=1e-5)
    assert torch.equal(cloudy[far], pictures[far])
    assert torch.equal(again, cloudy)
    assert torch.equal(pictures, before)
    changes = (cloudy - pictures).abs().mean(dim=1)
    assert (
        np.median([float(one[where].mean()) for one, where in zip(changes, sky, strict=True)])
        > 0.05
    )
    assert len({round(float(one.mean()), 5) for one in cloudy}) == COUNT  # all different


def test_blur_keeps_the_mean_and_takes_the_detail() -> None:
    pictures = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    blurred = blur(pictures, _random())
    assert _is_picture(blurred, pictures)
    assert blurred.std() < 0.8 * pictures.std()
    torch.testing.assert_close(blurred.mean(), pictures.mean(), rtol=0.02, atol=0)


def test_noise_is_as_strong_as_drawn() -> None:
    pictures = torch.full((50, 3, 40, 48), 0.5)
    spread = add_noise(pictures, _random()).std(dim=(1, 2, 3))
    assert 0.009 < spread.min() < 0.02
    assert 0.05 < spread.max() < 0.061


def test_compression_rounds_what_is_fine_and_keeps_what_is_smooth() -> None:
    flat = torch.full((3, 3, 16, 24), 0.5)
    torch.testing.assert_close(compress(flat, _random()), flat, rtol=0, atol=0.01)
    noise = torch.rand(3, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    found = compress(noise, _random())
    assert _is_picture(found, noise)
    assert 0.02 < (found - noise).abs().mean() < 0.25
    mean = F.avg_pool2d(found, 8) - F.avg_pool2d(noise, 8)
    assert mean.abs().max() < 0.1
