"""Cut detection: frames that differ abruptly from the previous one."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
from PIL import Image

from photoreal.client.video.source import Pixels

THUMBNAIL = (32, 18)
LEAST = 0.08
"""Minimum mean difference of two thumbnails (0..1) for a cut."""
TIMES = 3.0
"""Minimum ratio of a cut's difference to the median difference in the shot."""

_WINDOW = 12


class CutDetector:
    """Detects cuts: compares each frame's difference from the previous one with the shot's median.

    Camera motion changes consecutive frames by about the same amount, so a cut stands out. A
    false detection, for example at a flash, only restarts the smoothing.
    """

    def __init__(self) -> None:
        self._before: npt.NDArray[np.float32] | None = None
        self._usual: deque[float] = deque(maxlen=_WINDOW)

    def is_cut(self, pixels: Pixels) -> bool:
        """Whether this frame (H, W, 3) starts a shot; the first frame of a video always does."""
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
