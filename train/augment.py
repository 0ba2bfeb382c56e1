"""Augmentation by unusual light, as in style photos but not in the labeled photos.

Style photos show night, dusk, sunset, snow, fog and black and white; the labeled ones were taken
in daylight. Every function maps pictures (N, 3, H, W) float32 in 0..1, with targets (N, H, W)
uint8, to other ones, on the device that they are on. All randomness comes from the generator, so
samples are reproducible; each picture has its own amounts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

from photoreal.train.damage import add_noise, blur, compress, normal, on
from photoreal.train.sources import IGNORE, SKY
from photoreal.train.tables import CLASSES

Change = Callable[[Tensor, Tensor, Generator], Tensor]
Amounts = npt.NDArray[np.float64]

_LUMINANCE = np.array([0.299, 0.587, 0.114])
_SNOW_LIES_ON = tuple(CLASSES.index(name) for name in ("vegetation", "ground"))
_DARK = 0.25  # pictures with a lower mean are not darkened further
_LABELS = 256  # values that a target may have


def relight(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Simulate photos taken in different light.

    A third of the photos change only slightly; the others get one or more strong changes:
    region-wise light, tone, color cast, saturation, darkness, dusk, fog, snow, and degradation by
    blur, noise or compression.
    """
    strong = random.random(len(pictures)) >= 0.3

    def some(pictures: Tensor, share: float, change: Change) -> Tensor:
        rows = strong & (random.random(len(strong)) < share)
        return change_rows(pictures, targets, rows, change, random)

    pictures = some(pictures, 0.4, _relight_regions)
    pictures = some(pictures, 0.08, _snow)
    pictures = _tone(pictures, random, np.where(strong, 1.0, 0.25))
    pictures = some(pictures, 0.25, _gradient)
    pictures = some(pictures, 0.12, _fog)
    pictures = some(pictures, 0.12, _dusk)
    pictures = some(pictures, 0.15, _night)
    for damage in (add_noise, blur, compress):
        pictures = some(pictures, 0.08, lambda some, _, random: damage(some, random))  # noqa: B023
    return pictures.clamp(0.0, 1.0)


def change_rows(
    pictures: Tensor,
    targets: Tensor,
    rows: npt.NDArray[np.bool_],
    change: Change,
    random: Generator,
) -> Tensor:
    """Change the pictures of which `rows` (N,) is true; the result is a new tensor if any is."""
    if not rows.any():
        return pictures
    chosen = on(pictures.device, np.flatnonzero(rows))
    return pictures.index_copy(0, chosen, change(pictures[chosen], targets[chosen], random))


def _amounts(values: Amounts, like: Tensor) -> Tensor:
    """Amounts of each picture (N,), or of each of its channels (N, 3), for its pixels."""
    return on(like.device, values.reshape(len(values), -1, 1, 1))


def _gray(pictures: Tensor) -> Tensor:
    weights = on(pictures.device, _LUMINANCE).view(1, 3, 1, 1)
    return (pictures * weights).sum(dim=1, keepdim=True)


def _share(chosen: Tensor, radius: int) -> Tensor:
    """A mask (N, H, W) with soft borders, (N, 1, H, W) in 0..1."""
    size = 2 * radius + 1
    return F.avg_pool2d(chosen.float()[:, None], size, 1, radius, count_include_pad=False)


def _rows(pictures: Tensor) -> Tensor:
    """Height in the picture of each row, 0 at the top to 1, (1, 1, H, 1)."""
    return torch.linspace(0.0, 1.0, pictures.shape[2], device=pictures.device).view(1, 1, -1, 1)


def _tone(pictures: Tensor, random: Generator, strength: Amounts) -> Tensor:
    """Gamma, contrast, color cast and saturation; strength (N,) 1 is strong, 0 is none."""
    count = len(pictures)
    gamma = np.exp(random.uniform(-0.8, 0.8, count) * strength)
    gains = np.exp(random.uniform(-0.3, 0.3, (count, 3)) * strength[:, None])
    contrast = np.exp(random.uniform(-0.5, 0.4, count) * strength)
    saturation = 1.0 + random.uniform(-0.8, 0.7, count) * strength
    saturation[random.random(count) < 0.15 * strength] = 0.0
    pictures = pictures.pow(_amounts(gamma, pictures)) * _amounts(gains, pictures)
    middle = pictures.mean(dim=(1, 2, 3), keepdim=True)
    pictures = middle + (pictures - middle) * _amounts(contrast, pictures)
    gray = _gray(pictures)
    return torch.lerp(gray, pictures, _amounts(saturation, pictures)).clamp(0.0, 1.0)


def _relight_regions(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Relight some classes separately, as for sky and ground at dusk or at night.

    Classes are drawn at random, not only the sky, so that a step in light does not reveal the sky.
    """
    drawn = random.random((len(pictures), _LABELS)) < 0.5
    drawn[:, IGNORE] = False
    chosen = on(pictures.device, drawn).gather(1, targets.flatten(1).long()).view(targets.shape)
    relit = _tone(pictures, random, np.full(len(pictures), 1.2))
    return torch.lerp(pictures, relit, _share(chosen, int(random.integers(1, 3))))


def _gradient(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Add a light gradient or glow across the picture."""
    count, width = len(pictures), pictures.shape[3]
    angle = random.uniform(0.0, 2.0 * np.pi, count)
    rows = 2.0 * _rows(pictures) - 1.0
    columns = torch.linspace(-1.0, 1.0, width, device=pictures.device).view(1, 1, 1, -1)
    ramp = rows * _amounts(np.sin(angle), pictures) + columns * _amounts(np.cos(angle), pictures)
    color = _amounts(random.uniform(-0.6, 0.6, (count, 3)), pictures)
    return (pictures * (ramp * color).exp()).clamp(0.0, 1.0)


def _fog(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Add fog: blend toward gray, more in the upper part, which is farther away."""
    count = len(pictures)
    near, far = np.sort(random.uniform(0.0, 0.85, (2, count)), axis=0)
    amount = torch.lerp(_amounts(far, pictures), _amounts(near, pictures), _rows(pictures))
    gray = random.uniform(0.45, 0.95, (count, 1)) + random.uniform(-0.05, 0.05, (count, 3))
    return torch.lerp(pictures, _amounts(gray, pictures), amount)


def _snow(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Add snow: blend ground and vegetation toward white, keeping their texture."""
    lies = torch.stack([targets == label for label in _SNOW_LIES_ON]).any(dim=0)
    amount = lies[:, None] * _amounts(random.uniform(0.4, 0.9, len(pictures)), pictures)
    return torch.lerp(pictures, (0.65 + 0.35 * _gray(pictures)).expand_as(pictures), amount)


def _night(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Simulate night: much darker, bluish or orange, with highlights kept like lamps.

    Dark pictures stay as they are: nothing is learned from black.
    """
    count = len(pictures)
    dark = _amounts(random.uniform(0.05, 0.35, count), pictures)
    lamps = _gray(pictures) - _amounts(random.uniform(0.75, 1.1, count), pictures)
    cast = random.uniform(-0.4, 0.4, (count, 1)) * np.array([-1.0, 0.0, 1.0])
    night = pictures * torch.lerp(dark, torch.ones_like(dark), (5.0 * lamps).clamp(0.0, 1.0))
    night = night * _amounts(np.exp(cast), pictures)
    bright = pictures.mean(dim=(1, 2, 3), keepdim=True) > _DARK
    return torch.where(bright, night, pictures)


def _dusk(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Simulate dusk: a bright sky, warm at the horizon, over land that is nearly black.

    What the targets do not name is taken for land. Photos that name no sky stay as they are, since
    their sky would become land.
    """
    count = len(pictures)
    sky = targets == SKY
    gamma, dark = random.uniform(1.0, 1.8, count), random.uniform(0.08, 0.5, count)
    cast = np.exp(random.uniform(-0.25, 0.25, (count, 3)))
    land = pictures.pow(_amounts(gamma, pictures)) * _amounts(dark[:, None] * cast, pictures)
    warm = random.uniform((0.7, 0.35, 0.2), (1.0, 0.8, 0.75), (count, 3))
    cool = random.uniform((0.1, 0.15, 0.25), (0.6, 0.6, 0.8), (count, 3))
    glow = torch.lerp(_amounts(cool, pictures), _amounts(warm, pictures), _rows(pictures))
    own = _amounts(random.uniform(0.3, 0.9, count), pictures)  # the photo's own sky shows through
    above = torch.lerp(glow * (0.6 + 0.6 * _gray(pictures)), pictures, own)
    dusk = torch.lerp(land, above, _share(sky, 1)).clamp(0.0, 1.0)
    return torch.where(sky.any(dim=2).any(dim=1).view(-1, 1, 1, 1), dusk, pictures)


def paint_clouds(pictures: Tensor, targets: Tensor, random: Generator) -> Tensor:
    """Paint clouds of any color into the sky, which the labeled street photos rarely have.

    Clouds are sums of smooth noise at halving sizes (Perlin, "An Image Synthesizer", SIGGRAPH
    1985), thin to heavy, sometimes over a sky of a different color.
    """
    count = len(pictures)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return _amounts(random.uniform(low, high, (count, channels)), pictures)

    share = _share(targets == SKY, 1)
    top, bottom, own = draw(0.05, 1.0, 3), draw(0.05, 1.0, 3), draw(0.0, 0.5)
    other = torch.lerp(torch.lerp(top, bottom, _rows(pictures)), pictures, own)
    recolored = _amounts(np.where(random.random(count) < 0.4, 1.0, 0.0), pictures)
    pictures = torch.lerp(pictures, other, recolored * share)
    flat = random.uniform(1.0, 4.0, count)  # farther clouds look flatter
    shape, shade = (_noise(pictures, flat, random) for _ in range(2))
    cover = ((shape - draw(-0.8, 0.6)) * draw(0.8, 4.0)).clamp(0.0, 1.0)
    light, dark = random.uniform(0.3, 1.0, (count, 3)), random.uniform(0.0, 0.7, (count, 3))
    pale = random.random((count, 1)) < 0.5  # white to gray
    light = np.where(pale, light.max(axis=1, keepdims=True), light)
    dark = np.where(pale, dark.mean(axis=1, keepdims=True), dark)
    bright = (0.5 + shade).clamp(0.0, 1.0)
    clouds = torch.lerp(_amounts(dark, pictures), _amounts(light, pictures), bright)
    return torch.lerp(pictures, clouds, cover * share * draw(0.5, 1.0))


def _noise(pictures: Tensor, flat: Amounts, random: Generator) -> Tensor:
    """Smooth noise (N, 1, H, W) of mean 0 and about -1..1, `flat` (N,) times as fine downward."""
    count, _, height, width = pictures.shape
    cells = random.uniform(1.5, 4.0, count)
    across = torch.linspace(0.0, 1.0, width, device=pictures.device).view(1, 1, -1)
    down = torch.linspace(0.0, 1.0, height, device=pictures.device).view(1, -1, 1)
    total = torch.zeros((count, 1, height, width), device=pictures.device)
    weight = 1.0 / 1.5
    for _ in range(5):
        tall, wide = cells * flat, cells
        size = (count, 1, int(tall.max()) + 2, int(wide.max()) + 2)
        plane = normal(size, total.device, random)
        # grid_sample wants places in -1..1 from the first value to the last.
        x = across * _amounts(2.0 * wide / (size[3] - 1), total)[:, 0] - 1.0
        y = down * _amounts(2.0 * tall / (size[2] - 1), total)[:, 0] - 1.0
        places = torch.stack([x.expand(-1, height, -1), y.expand(-1, -1, width)], dim=-1)
        total += weight * F.grid_sample(plane, places, mode="bicubic", align_corners=True)
        cells, weight = 2.0 * cells, 0.55 * weight
    return total
