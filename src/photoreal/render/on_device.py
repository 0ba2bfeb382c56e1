"""Color model of `photoreal.render.upsample` applied to a photo on a GPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, like, resize, to_host
from photoreal.render.pixels import Pixels, highest
from photoreal.render.upsample import ColorModel

STRIP_PIXELS = 1 << 23
"""Pixels that are computed at a time; a strip takes about 150 bytes a pixel on the GPU."""


def apply_on_device(
    model: ColorModel,
    photo: Pixels,
    strip_pixels: int = STRIP_PIXELS,
    *,
    dtype: npt.DTypeLike = None,
) -> Pixels:
    """Apply a model of tensors to a photo (H, W, 3) uint8 or uint16 of any size.

    The result has the type `dtype`, by default the photo's. The photo is processed in strips of
    about `strip_pixels` pixels.
    """
    height, width = photo.shape[:2]
    coefficients = _planes(model)  # rows of all planes, (12, h, w)
    if coefficients.shape[1] > height:  # a smaller photo: the filter averages
        coefficients = resize(coefficients, height, width)
    rows = max(1, strip_pixels // width)
    result = np.empty(photo.shape, dtype=photo.dtype if dtype is None else dtype)
    largest = float(highest(result))
    step = largest / highest(photo)  # of the photo's values in those of the result
    for first in range(0, height, rows):
        strip = photo[first : first + rows]
        planes = _rows(coefficients, first, len(strip), height, width)
        colors = like(strip.astype(np.float32) if strip.dtype != np.uint8 else strip, planes)
        colors = colors.permute(2, 0, 1).float()
        if step != 1:
            colors = colors * step
        value = planes[9:] * largest
        for channel in range(3):
            value += planes[channel:9:3] * colors[channel]
        value = value.clamp_(0.0, largest).round_().permute(1, 2, 0)
        kept = value.byte() if result.dtype == np.uint8 else value
        result[first : first + rows] = to_host(kept.contiguous())
    return result


def _planes(model: ColorModel) -> Floats:
    """Slopes as nine planes, then the three offsets."""
    from torch import cat

    return cat((model.slopes.flatten(0, 1), model.offsets))


def _rows(planes: Floats, first: int, count: int, height: int, width: int) -> Floats:
    """Rows first..first + count of planes (K, h, w) resized bilinearly to (K, height, width)."""
    import torch

    tall = planes.shape[1]
    if tall == height:
        strip = planes[:, first : first + count]
    else:
        places = torch.arange(first, first + count, device=planes.device, dtype=torch.float64)
        places = ((places + 0.5) * (tall / height) - 0.5).clamp_(0.0, tall - 1.0)
        above = places.floor().long()
        share = (places - above).float()[:, None]
        below = (above + 1).clamp_(max=tall - 1)
        strip = torch.lerp(planes[:, above], planes[:, below], share)
    return resize(strip, count, width)
