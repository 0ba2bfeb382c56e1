"""Fixed changes of light for evaluating a segmenter, as they occur in style photos.

Each maps an image (H, W, 3) float32 in 0..1 to another one. They resemble the random augmentation
of the training (`photoreal.train.augment`), but are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _gray(picture: Picture) -> Picture:
    return np.repeat((picture @ _LUMINANCE)[..., None], 3, axis=2)


def _night(picture: Picture) -> Picture:
    dark = np.power(picture, np.float32(1.6)) * np.array([0.2, 0.22, 0.32], dtype=np.float32)
    return np.asarray(dark, dtype=np.float32)


def _sunset(picture: Picture) -> Picture:
    warm = np.array([1.25, 0.85, 0.5], dtype=np.float32)
    return np.clip(np.power(picture, np.float32(1.3)) * warm, 0.0, 1.0)


def _fog(picture: Picture) -> Picture:
    amount = np.linspace(0.8, 0.35, picture.shape[0], dtype=np.float32)[:, None, None]
    return np.asarray(picture * (1.0 - amount) + np.float32(0.78) * amount, dtype=np.float32)


LIGHTS: dict[str, Callable[[Picture], Picture]] = {
    "as it is": lambda picture: picture,
    "black and white": _gray,
    "night": _night,
    "sunset": _sunset,
    "fog": _fog,
}
"""The changes by name."""
