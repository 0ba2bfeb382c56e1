"""Finding cuts: where a frame has nothing to do with the one before it."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.client.video.source import Pixels

THUMBNAIL = (32, 18)
LEAST = 0.08
"""Mean difference of two thumbnails (0..1) below which nothing is a cut."""
TIMES = 3.0
"""How many times the usual difference of a shot a cut is at least."""

_WINDOW = 12


class CutDetector:
    """Compares each frame with the one before it, and that with what is usual in the shot.

    A pan or a shaking hand changes every frame about as much as the one before; a cut stands
    out. What is mistaken for one, a flash say, costs no more than a new start of the smoothing.
    """

    def __init__(self) -> None:
        self._before: npt.NDArray[np.float32] | None = None
        self._usual: deque[float] = deque(maxlen=_WINDOW)

    def is_cut(self, pixels: Pixels) -> bool:
        """Whether a shot begins with this frame (H, W, 3); the first frame of all begins one."""
        small = Image.fromarray(pixels).resize(THUMBNAIL, Image.Resampling.BOX)
        thumbnail = np.asarray(small, dtype=np.float32) / 255
        before, self._before = self._before, thumbnail
        if before is None:
            return True
        difference = float(np.abs(thumbnail - before).mean())
        usual = float(np.median(self._usual)) if self._usual else 0.0
        if difference > max(LEAST, TIMES * usual):
            self._usual.clear()
            return True
        self._usual.append(difference)
        return False
