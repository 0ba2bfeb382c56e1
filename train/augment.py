"""Augmentation by unusual light, as in style photos but not in the labeled photos.

Style photos show night, sunset, snow, fog and black and white; the labeled ones were taken in
daylight. Every function maps an image (H, W, 3) float32 in 0..1 to another one; all randomness
comes from the generator, so samples are reproducible.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from PIL import Image, ImageFilter

from photoreal.train.sources import IGNORE, SKY
from photoreal.train.tables import CLASSES

Picture = npt.NDArray[np.float32]
Targets = npt.NDArray[np.uint8]

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_SNOW_LIES_ON = tuple(CLASSES.index(name) for name in ("vegetation", "ground"))
_DARK = 0.25  # images with a lower mean are not darkened further


def relight(picture: Picture, targets: Targets, random: Generator) -> Picture:
    """Simulate a photo taken in different light.

    A third of the photos change only slightly; the others get one or more strong changes:
    region-wise light, tone, color cast, saturation, darkness, fog, snow, and degradation by blur,
    noise or compression.
    """
    if random.random() < 0.3:
        return _tone(picture, random, 0.25)
    if random.random() < 0.4:
        picture = _relight_regions(picture, targets, random)
    if random.random() < 0.08:
        picture = _snow(picture, targets, random)
    picture = _tone(picture, random, 1.0)
    if random.random() < 0.25:
        picture = _gradient(picture, random)
    if random.random() < 0.12:
        picture = _fog(picture, random)
    if random.random() < 0.15 and picture.mean() > _DARK:  # nothing is learned from black
        picture = _night(picture, random)
    if random.random() < 0.25:
        picture = _damage(picture, random)
    return np.clip(picture, 0.0, 1.0)


def _mix(picture: Picture, other: Picture, amount: Picture | np.float32) -> Picture:
    return np.asarray(picture + (other - picture) * amount, dtype=np.float32)


def _tone(picture: Picture, random: Generator, strength: float) -> Picture:
    """Gamma, contrast, color cast and saturation; strength 1 is strong, 0 is none."""
    gamma = np.exp(random.uniform(-0.8, 0.8) * strength)
    gains = np.exp(random.uniform(-0.3, 0.3, 3) * strength)
    contrast = np.exp(random.uniform(-0.5, 0.4) * strength)
    picture = np.power(picture, np.float32(gamma)) * gains.astype(np.float32)
    middle = np.float32(picture.mean())
    picture = (picture - middle) * np.float32(contrast) + middle
    saturation = 1.0 + random.uniform(-0.8, 0.7) * strength
    if random.random() < 0.15 * strength:
        saturation = 0.0
    gray = (picture @ _LUMINANCE)[..., None]
    result: Picture = gray + (picture - gray) * np.float32(saturation)
    return np.clip(result, 0.0, 1.0)


def _relight_regions(picture: Picture, targets: Targets, random: Generator) -> Picture:
    """Relight some classes separately, as for sky and ground at dusk or at night.

    Classes are drawn at random, not only the sky, so that a step in light does not reveal the sky.
    """
    present = np.unique(targets[targets < IGNORE])
    chosen = present[random.random(present.size) < 0.5]
    weight = np.isin(targets, chosen).astype(np.uint8) * 255
    soft = Image.fromarray(weight).filter(ImageFilter.BoxBlur(float(random.uniform(0.5, 2.5))))
    share = (np.asarray(soft, dtype=np.float32) / np.float32(255.0))[..., None]
    return _mix(picture, _tone(picture, random, 1.2), share)


def _gradient(picture: Picture, random: Generator) -> Picture:
    """Add a light gradient or glow across the image."""
    height, width = picture.shape[:2]
    angle = random.uniform(0.0, 2.0 * np.pi)
    rows = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    ramp = (rows * np.sin(angle) + columns * np.cos(angle)).astype(np.float32)[..., None]
    color = random.uniform(-0.6, 0.6, 3).astype(np.float32)
    result: Picture = np.clip(picture * np.exp(ramp * color), 0.0, 1.0)
    return result


def _fog(picture: Picture, random: Generator) -> Picture:
    """Add fog: blend toward gray, more in the upper part, which is farther away."""
    height = picture.shape[0]
    near, far = np.sort(random.uniform(0.0, 0.85, 2))
    amount = np.linspace(far, near, height, dtype=np.float32)[:, None, None]
    gray = random.uniform(0.45, 0.95) + random.uniform(-0.05, 0.05, 3)
    return _mix(picture, gray.astype(np.float32), amount)


def _snow(picture: Picture, targets: Targets, random: Generator) -> Picture:
    """Add snow: blend ground and vegetation toward white, keeping their texture."""
    lies = np.isin(targets, _SNOW_LIES_ON).astype(np.float32)[..., None]
    amount = lies * np.float32(random.uniform(0.4, 0.9))
    gray = (picture @ _LUMINANCE)[..., None]
    return _mix(picture, 0.65 + 0.35 * gray, amount)


def _night(picture: Picture, random: Generator) -> Picture:
    """Simulate night: much darker, bluish or orange, with highlights kept like lamps."""
    gray = (picture @ _LUMINANCE)[..., None]
    dark = np.float32(random.uniform(0.05, 0.35))
    keep = np.clip((gray - random.uniform(0.75, 1.1)) * 5.0, 0.0, 1.0).astype(np.float32)
    cast = np.exp(random.uniform(-0.4, 0.4) * np.array([-1.0, 0.0, 1.0])).astype(np.float32)
    result: Picture = picture * (dark + (1.0 - dark) * keep) * cast
    return result


def paint_clouds(picture: Picture, targets: Targets, random: Generator) -> Picture:
    """Paint clouds of any color into the sky, which the labeled street photos rarely have.

    Clouds are sums of smooth noise at halving sizes (Perlin, "An Image Synthesizer", SIGGRAPH
    1985), thin to heavy, sometimes over a sky of a different color.
    """
    height, width = targets.shape
    sky = Image.fromarray((targets == SKY).astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(1))
    share = (np.asarray(sky, dtype=np.float32) / np.float32(255.0))[..., None]
    if random.random() < 0.4:
        top, bottom = random.uniform(0.05, 1.0, (2, 1, 1, 3)).astype(np.float32)
        rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
        own = random.uniform(0.0, 0.5)  # the photo's own sky shows through
        picture = _mix(picture, _mix(_mix(top, bottom, rows), picture, np.float32(own)), share)
    flat = random.uniform(1.0, 4.0)  # farther clouds look flatter
    shape, shade = (_noise(height, width, flat, random) for _ in range(2))
    cover = np.clip((shape - random.uniform(-0.8, 0.6)) * random.uniform(0.8, 4.0), 0.0, 1.0)
    light, dark = random.uniform(0.3, 1.0, 3), random.uniform(0.0, 0.7, 3)
    if random.random() < 0.5:  # white to gray
        light, dark = np.full(3, light.max()), np.full(3, dark.mean())
    clouds = dark + (light - dark) * np.clip(0.5 + shade, 0.0, 1.0)[..., None]
    amount = cover[..., None] * share * random.uniform(0.5, 1.0)
    return _mix(picture, clouds.astype(np.float32), amount.astype(np.float32))


def _noise(height: int, width: int, flat: float, random: Generator) -> Picture:
    """Smooth noise (H, W) of mean 0 and about -1..1, `flat` times as fine from top to bottom."""
    total = np.zeros((height, width), dtype=np.float32)
    cells, weight = random.uniform(1.5, 4.0), 1.0
    for _ in range(5):
        grid = random.normal(0.0, 1.0, (2 + round(cells * flat), 2 + round(cells)))
        image = Image.fromarray(grid.astype(np.float32))
        plane = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
        total += np.float32(weight) * plane
        cells, weight = 2.0 * cells, 0.55 * weight
    return np.asarray(total / np.float32(1.5), dtype=np.float32)


def _damage(picture: Picture, random: Generator) -> Picture:
    """Blur, noise or compression."""
    kind = random.integers(3)
    if kind == 0:
        noise = random.normal(0.0, random.uniform(0.01, 0.06), picture.shape)
        return np.clip(picture + noise.astype(np.float32), 0.0, 1.0)
    image = Image.fromarray((np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8))
    if kind == 1:
        image = image.filter(ImageFilter.GaussianBlur(float(random.uniform(0.4, 1.6))))
    else:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(random.integers(15, 70)))
        image = Image.open(buffer)
    return np.asarray(image, dtype=np.float32) / np.float32(255.0)
