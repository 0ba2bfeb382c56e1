"""What the caller is told about the soft regions of a request."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal.pipeline.presets.preset import Preset
from photoreal.pipeline.regions.soft import SoftMatch
from photoreal.regions.coupling import Matrix
from photoreal.regions.soft import RegionInfo, SoftRegions


def describe(found: SoftMatch) -> dict[str, Any]:
    """Report for the caller: source of the regions and region pairs.

    With several styles, a pair's "style" is a list with one name per style, null where that
    style has no match for the region.
    """
    styled = [any(coupling[k].any() for coupling in found.couplings) for k in range(found.count)]
    infos, ours = found.content.infos, listing(found.content)
    partners = [
        [_partner(coupling[k], style) for coupling, style in _by_style(found)]
        for k in range(found.count)
    ]
    height, width = found.content.weights.shape[1:]
    theirs = [listing(style) for style in found.styles]
    return {
        "regions": found.source,
        "match": found.match,
        "pairs": [
            {
                "content": info.name,
                "style": names[0] if len(names) == 1 else names,
                "share": one["share"],
                "sure": one["sure"],
            }
            for info, one, names, has in zip(infos, ours, partners, styled, strict=True)
            if has
        ],
        "unstyled": [info.name for info, has in zip(infos, styled, strict=True) if not has],
        "content_regions": ours,
        "style_regions": theirs[0] if len(theirs) == 1 else theirs,
        "height": height,
        "width": width,
        "working_height": height,
        "working_width": width,
    }


def _by_style(found: SoftMatch) -> list[tuple[Matrix, SoftRegions | Preset]]:
    return list(zip(found.couplings, found.styles, strict=True))


def _partner(row: npt.NDArray[np.float64], style: SoftRegions | Preset) -> str | int | None:
    """Name of the style region with the largest share in a content region's mix."""
    if not row.any():
        return None
    if len(row) > 1 and np.allclose(row, style.shares, atol=1e-3):
        return "whole photo"
    return style.infos[int(row.argmax())].name


def listing(found: SoftRegions | Preset) -> list[dict[str, Any]]:
    """The regions of a photo or preset, as in reports."""
    return [
        _region(info, float(share)) for info, share in zip(found.infos, found.shares, strict=True)
    ]


def _region(info: RegionInfo, share: float) -> dict[str, Any]:
    return {
        "label": info.label,
        "name": str(info.name),
        "share": round(share, 4),
        "sure": info.sure,
    }
