"""Regions whose partner is of another class change mostly with the photo as a whole.

A style without trees still has a nearest region for the trees of a content: its sky, or a road.
Trees in the colors of a sky look wrong, and end where the region ends. The map of the whole photo's
colors gives them the style's light and keeps them like the rest of the photo.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from photoreal.regions.classes import GROUPS
from photoreal.regions.coupling import Matrix

MOST_WHOLE = 0.7
"""Share of its change that a region with an unlike partner leaves to the photo as a whole."""

_SURE = (0.6, 0.75)
"""Probability of a region's best class from which its class is known, and known fully."""
_ALIKE = (0.35, 0.55)
"""Overlap of two regions' class probabilities up to which they are unlike, and from which alike."""

# Water mirrors the sky, so either takes the other's colors well.
_SAME = np.eye(len(GROUPS))
_SAME[GROUPS.index("water")] = _SAME[GROUPS.index("sky")]


def whole_shares(
    content: npt.NDArray[np.float32], style: npt.NDArray[np.float32], coupling: Matrix
) -> Matrix:
    """Shares (K,) in 0..1 of the change of each content region that are the whole photo's.

    `content` (K, groups) and `style` (J, groups) are the regions' mean class probabilities, all 0
    for a whole photo, and `coupling` (K, J) the shares of the style regions in each content
    region's mix.
    """
    if not style.any():
        return np.zeros(len(content))
    ours, theirs = content @ _SAME, coupling @ style @ _SAME
    alike = np.interp(np.minimum(ours, theirs).sum(axis=1), _ALIKE, (0.0, 1.0))
    sure = np.interp(content.max(axis=1), _SURE, (0.0, 1.0))
    shares: Matrix = MOST_WHOLE * (1.0 - alike) * sure * coupling.any(axis=1)
    return shares
