"""Box filter: the mean over square windows, at a cost that hardly grows with the window."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from photoreal.arrays import Floats, is_tensor

Border = Literal["edge", "symmetric"]

_BORDERS = {"edge": cv2.BORDER_REPLICATE, "symmetric": cv2.BORDER_REFLECT}


def box_mean(planes: Floats, side: int, border: Border = "edge") -> Floats:
    """Mean over the windows around each pixel of planes (K, H, W); `side` is odd.

    Beyond its border a plane repeats its outermost pixel ("edge") or is mirrored ("symmetric").
    """
    half = side // 2
    if is_tensor(planes):
        from torch.nn import functional as F

        return F.avg_pool2d(F.avg_pool2d(_padded(planes, half, border), (side, 1), 1), (1, side), 1)

    means = np.empty(planes.shape, dtype=np.float32)
    for plane, mean in zip(planes, means, strict=True):
        cv2.blur(plane, (side, side), dst=mean, borderType=_BORDERS[border])
    return means


def _padded(planes: Floats, half: int, border: Border) -> Floats:
    from torch.nn import functional as F

    if border == "edge":
        return F.pad(planes[None], (half, half, half, half), mode="replicate")[0]
    return _mirrored(_mirrored(planes, half).mT, half).mT


def _mirrored(planes: Floats, half: int) -> Floats:
    """Extend the rows of planes by their mirror images, border pixels included."""
    from torch import cat

    far = planes.shape[-1] - half
    return cat((planes[..., :half].flip(-1), planes, planes[..., far:].flip(-1)), -1)
