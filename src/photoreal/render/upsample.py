"""Guided upsampling of a result at working size to the resolution of its photo.

Around every pixel the result is modeled as an affine function of the photo's colors. The function
is fitted at the transfer's working size, where both are known, and applied to the photo's
full-resolution pixels: detail comes from the photo, light and color from the result. The fit is a
guided filter (`photoreal.render.local_linear`) with the smallest windows, 3x3. Where the photo is
nearly flat, so few pixels do not determine the fit; there it falls back to a fit over wider
windows, which captures how the result changes contrast in that part of the photo. Where these are
flat as well, colors are shifted and contrast is kept, so grain and faint detail are neither
removed nor amplified.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from photoreal.arrays import Floats, resize
from photoreal.cores import map_on_cores
from photoreal.render.local_linear import FloatArray, fit_coarse_slopes, fit_local_linear
from photoreal.render.pixels import Pixels, highest

STRIP_PIXELS = 1 << 16
"""Pixels that one thread processes at a time: they fit into its cache."""

_SIDE, _RIDGE = 3, 3e-4
_WIDE_SIDE, _WIDE_STEP, _WIDE_RIDGE = 9, 4, 1e-3


class ColorModel(NamedTuple):
    """Per-pixel affine function of color: slopes (3, 3, H, W) and offsets (3, H, W).

    `slopes[k, i]` is the coefficient of channel i in channel k of the result.
    """

    slopes: Floats
    offsets: Floats


def fit_colors(content: Floats, result: Floats) -> ColorModel:
    """Fit the model that maps a content (3, H, W) in 0..1 to its result (3, H, W)."""
    change = result - content
    wide = fit_coarse_slopes(change, content, _WIDE_SIDE, _WIDE_STEP, _WIDE_RIDGE)
    slopes, offsets = fit_local_linear(change, content, _SIDE, _RIDGE, wide)
    for channel in range(3):
        slopes[channel, channel] += 1
    return ColorModel(slopes, offsets)


def apply_colors(
    model: ColorModel,
    photo: Pixels,
    *,
    dtype: npt.DTypeLike = None,
    threads: int = 1,
    strip_pixels: int = STRIP_PIXELS,
) -> Pixels:
    """Apply the model to a photo (H, W, 3) of any size, uint8 or uint16.

    The result has the type `dtype`, by default the photo's; it is rounded once, to that type. The
    photo is processed in strips of about `strip_pixels` pixels on `threads` threads.
    """
    height, width = photo.shape[:2]
    result = np.empty(photo.shape, dtype=photo.dtype if dtype is None else dtype)
    white = np.float32(highest(result))
    step = white / np.float32(highest(photo))  # of the photo's values in those of the result
    fields = _fields(model, height, width)
    fields[:, 3] *= white
    rows = max(1, strip_pixels // width)

    def work(first: int) -> None:
        strip = photo[first : first + rows]
        colors = strip.transpose(2, 0, 1).astype(np.float32, order="C")
        if step != 1:
            colors *= step
        factors = np.concatenate([colors, np.ones_like(colors[:1])])
        at = np.arange(first, first + len(strip))
        for channel, field in enumerate(_rows(fields, at, height)):
            value = np.zeros(strip.shape[:2], dtype=np.float32)
            for plane, factor in zip(field, factors, strict=True):
                value += cv2.resize(plane, (width, len(strip))) * factor
            np.rint(np.clip(value, 0.0, white, out=value), out=value)
            result[first : first + rows, :, channel] = value

    map_on_cores(work, range(0, height, rows), threads)
    return result


def _fields(model: ColorModel, height: int, width: int) -> FloatArray:
    """The model's slopes and offsets (3, 4, h, w), no larger than a photo (height, width)."""
    fields: FloatArray = np.concatenate([model.slopes, model.offsets[:, None]], axis=1)
    tall, wide = fields.shape[2:]
    if tall <= height and wide <= width:
        return fields
    small = min(tall, height), min(wide, width)
    shrunk: FloatArray = resize(fields.reshape(12, tall, wide), *small).reshape(3, 4, *small)
    return shrunk


def _rows(fields: FloatArray, rows: npt.NDArray[np.int64], height: int) -> FloatArray:
    """Rows (3, 4, n, w) of fields as they would be if interpolated to `height` rows."""
    last = fields.shape[2] - 1
    position = ((rows + 0.5) * ((last + 1) / height) - 0.5).clip(0.0, last)
    upper = position.astype(np.int64)
    share = (position - upper).astype(np.float32)[:, None]
    above, below = fields[:, :, upper], fields[:, :, np.minimum(upper + 1, last)]
    found: FloatArray = above + share * (below - above)
    return found
