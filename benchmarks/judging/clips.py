"""Clips whose motion is known: a camera that pans and zooms over a photo.

Every frame is a resampled part of the photo, so the flow from one frame to the next is exact,
and what still differs after following it is flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_PHOTO_PART = 0.7  # of the photo's height that a frame shows
_SMOOTH_PART = 1 / 8  # of the height: what is blurred away here is no change of color


class View(NamedTuple):
    """Where a frame's pixels are in the photo: offset (y, x) and photo pixels a pixel."""

    top: float
    left: float
    scale: float


@dataclass(frozen=True)
class Clip:
    """A clip of `frames` frames.

    `pan` is the share of the free width that the camera crosses, `zoom` the magnification at
    the end, `noise` the deviation of the grain in 0..255, `wobble` that of the exposure (0..1).
    """

    name: str
    pan: float = 0.0
    zoom: float = 1.0
    noise: float = 0.0
    wobble: float = 0.0


CLIPS = (
    Clip("pan", pan=1.0),
    Clip("pan, grain", pan=1.0, noise=4.0),
    Clip("zoom, grain", zoom=1.3, noise=4.0),
    Clip("pan, grain, unsteady exposure", pan=1.0, noise=4.0, wobble=0.03),
)


def render(clip: Clip, photo: Bytes, height: int, count: int) -> tuple[list[Bytes], list[View]]:
    """The frames (height, W, 3) of a clip, W half as much again, and their views."""
    rng = np.random.default_rng(7)
    tall, wide = photo.shape[:2]
    width = 2 * round(0.75 * height)
    base = min(_PHOTO_PART * tall / height, _PHOTO_PART * wide / width)
    frames, views = [], []
    for step in np.linspace(0.0, 1.0, count):
        scale = base / clip.zoom**step
        free = wide - base * width
        middle = (wide - scale * width) / 2
        left = clip.pan * step * free if clip.pan else middle
        view = View((tall - scale * height) / 2, left, scale)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        places = [view.top + scale * rows, view.left + scale * columns]
        picture = _sample(photo.astype(np.float32), places)
        picture *= 1.0 + clip.wobble * rng.standard_normal()
        picture += rng.normal(0.0, clip.noise, picture.shape)
        frames.append(np.clip(np.rint(picture), 0, 255).astype(np.uint8))
        views.append(view)
    return frames, views


def flicker(frames: Sequence[Bytes], views: Sequence[View]) -> tuple[float, float]:
    """How much neighboring frames differ after the motion is undone, in 0..255.

    The mean absolute difference of pixels, and of the frames' local colors (blurred over an
    eighth of the height), in which grain cancels and pumping colors stay.
    """
    pixels, colors = [], []
    for i in range(len(frames) - 1):
        here, there = frames[i].astype(np.float32), frames[i + 1].astype(np.float32)
        height, width = here.shape[:2]
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        one, two = views[i], views[i + 1]
        y = (one.top + one.scale * rows - two.top) / two.scale
        x = (one.left + one.scale * columns - two.left) / two.scale
        seen = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
        change = np.where(seen[..., None], _sample(there, [y, x]) - here, 0.0)
        pixels.append(float(np.abs(change[seen]).mean()))
        side = max(1, round(_SMOOTH_PART * height))
        share = ndimage.uniform_filter(seen.astype(np.float32), side, mode="constant")
        smooth = ndimage.uniform_filter(change, (side, side, 1), mode="constant")
        whole = share > 0.5
        colors.append(float(np.abs(smooth[whole] / share[whole][:, None]).mean()))
    return float(np.mean(pixels)), float(np.mean(colors))


def _sample(picture: Floats, places: Sequence[Floats]) -> Floats:
    """A picture (H, W, 3) at rows and columns that need not be whole."""
    channels = [
        ndimage.map_coordinates(picture[..., channel], places, order=1, mode="nearest")
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1)
