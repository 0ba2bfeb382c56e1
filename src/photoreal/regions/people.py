"""People keep most of their own colors where the style shows no one.

The nearest region of such a style is grass or a wall, and a face in its colors looks wrong however
well they fit. The share of the change that remains gives people the light of the style.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoreal.regions.classes import GROUPS
from photoreal.regions.coupling import Matrix

KEPT = 0.65
"""Share of their own colors that people without a partner keep."""

_PERSON = GROUPS.index("person")
_SURE = (0.65, 0.8)
"""Probability from which a region counts as people, and counts fully.

In 27 test photos of people their region has 0.76 or more; a flower that was taken for a person had
0.64.
"""
_PARTNER = (0.2, 0.5)
"""The same for the mixture of style regions that a region is coupled with."""


def kept_colors(
    content: npt.NDArray[np.float32], style: npt.NDArray[np.float32], coupling: Matrix
) -> Matrix:
    """Shares (K,) in 0..1 of their own colors that the regions of a content keep.

    `content` (K, groups) and `style` (J, groups) are the regions' mean class probabilities, and
    `coupling` (K, J) the shares of the style regions in each content region's mix.
    """
    own = content[:, _PERSON].astype(np.float64)
    partner = coupling @ style[:, _PERSON].astype(np.float64)
    alone = 1.0 - np.interp(partner, _PARTNER, (0.0, 1.0))
    kept: Matrix = KEPT * alone * np.interp(own, _SURE, (0.0, 1.0))
    return kept
