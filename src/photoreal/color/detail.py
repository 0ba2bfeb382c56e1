"""Faint texture and noise of a photo, apart from its shades.

Where the content hardly varies, a color map with a high gain would turn noise and the blocks of
JPEG into specks. So maps are applied to a smoothed photo, and the rest is not amplified.
"""

from __future__ import annotations

from photoreal.arrays import Floats, resize
from photoreal.render.local_linear import apply_local_linear, fit_local_linear

_STEP = 2
"""Factor by which the photo in which windows are measured is smaller."""
_SIDE = 9
"""Window in pixels of the smaller photo."""
_VARIANCE = 1e-3  # of what counts as faint: a deviation of 3 % of the range


def smooth_faint_detail(photo: Floats) -> Floats:
    """A photo (3, H, W) in 0..1 without variation of a few percent within a small window.

    Edges are kept (He, Sun and Tang, "Guided Image Filtering", TPAMI 2013, section 3.4: the photo
    is its own guide).
    """
    _, height, width = photo.shape
    small = resize(photo, max(1, height // _STEP), max(1, width // _STEP))
    slopes, offsets = fit_local_linear(small, small, _SIDE, _VARIANCE)
    return apply_local_linear(slopes, offsets, photo)
