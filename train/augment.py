"""Unusual light: what a style photo may look like that the labeled photos do not.

Style photos are night, sunset, snow, fog and black and white; the labeled ones were taken by
day. Every function takes a picture (H, W, 3) float32 in 0..1 and gives one back; what is
drawn comes from the generator alone, so a sample can be made again.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from PIL import Image, ImageFilter

from photoreal.train.sources import CLASSES, IGNORE

Picture = npt.NDArray[np.float32]
Targets = npt.NDArray[np.uint8]

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_SNOW_LIES_ON = tuple(CLASSES.index(name) for name in ("vegetation", "ground"))
_DARK = 0.25  # mean of a picture that is not made darker still


def relight(picture: Picture, targets: Targets, random: Generator) -> Picture:
    """A photo as it might have been taken in other light.

    A third stays near what it was; the others get one or more strong changes: region-wise
    light, tone, color cast, saturation, darkness, fog, snow, and damage by blur, noise or
    compression.
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


def _mix(picture: Picture, other: Picture, amount: Picture) -> Picture:
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
    """Some classes under a light of their own, as sky and ground are at dusk or at night.

    Classes are drawn, not only the sky, so that a step in the light does not give it away.
    """
    present = np.unique(targets[targets < IGNORE])
    chosen = present[random.random(present.size) < 0.5]
    weight = np.isin(targets, chosen).astype(np.uint8) * 255
    soft = Image.fromarray(weight).filter(ImageFilter.BoxBlur(float(random.uniform(0.5, 2.5))))
    share = (np.asarray(soft, dtype=np.float32) / np.float32(255.0))[..., None]
    return _mix(picture, _tone(picture, random, 1.2), share)


def _gradient(picture: Picture, random: Generator) -> Picture:
    """Light or a glow that changes across the picture."""
    height, width = picture.shape[:2]
    angle = random.uniform(0.0, 2.0 * np.pi)
    rows = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    ramp = (rows * np.sin(angle) + columns * np.cos(angle)).astype(np.float32)[..., None]
    color = random.uniform(-0.6, 0.6, 3).astype(np.float32)
    result: Picture = np.clip(picture * np.exp(ramp * color), 0.0, 1.0)
    return result


def _fog(picture: Picture, random: Generator) -> Picture:
    """Towards gray, more so in the upper part, which is farther away."""
    height = picture.shape[0]
    near, far = np.sort(random.uniform(0.0, 0.85, 2))
    amount = np.linspace(far, near, height, dtype=np.float32)[:, None, None]
    gray = random.uniform(0.45, 0.95) + random.uniform(-0.05, 0.05, 3)
    return _mix(picture, gray.astype(np.float32), amount)


def _snow(picture: Picture, targets: Targets, random: Generator) -> Picture:
    """Ground and vegetation towards white, their texture kept."""
    lies = np.isin(targets, _SNOW_LIES_ON).astype(np.float32)[..., None]
    amount = lies * np.float32(random.uniform(0.4, 0.9))
    gray = (picture @ _LUMINANCE)[..., None]
    return _mix(picture, 0.65 + 0.35 * gray, amount)


def _night(picture: Picture, random: Generator) -> Picture:
    """Darker by far, bluish or orange, highlights kept as lamps would."""
    gray = (picture @ _LUMINANCE)[..., None]
    dark = np.float32(random.uniform(0.05, 0.35))
    keep = np.clip((gray - random.uniform(0.75, 1.1)) * 5.0, 0.0, 1.0).astype(np.float32)
    cast = np.exp(random.uniform(-0.4, 0.4) * np.array([-1.0, 0.0, 1.0])).astype(np.float32)
    result: Picture = picture * (dark + (1.0 - dark) * keep) * cast
    return result


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
