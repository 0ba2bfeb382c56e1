"""The keyword arguments of the clients, for type checkers and editors.

Generated from `photoreal.options.stylize` by `make generate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from photoreal.options.stylize import MatchRule, Place


class RegionArguments(TypedDict, total=False):
    """Options of `find_regions`; what is left out, or None, is the server's default."""

    size: int | None
    """Shorter side of the result in pixels, 16 to 2048; default 512."""
    segment: bool | None
    """Without masks, find regions (true) or take photos whole (false); default true."""
    match: MatchRule | None
    """How regions find partners, published or nearest; default published with masks, else
    nearest.
    """


class StylizeArguments(RegionArguments, total=False):
    """Options of `stylize`; what is left out, or None, is the server's default."""

    weights: Sequence[float] | None
    """Shares of several styles, from 0 up; default equal."""
    alpha: float | None
    """Strength of the transfer, 0 to 1; default 1."""
    transfer_at: str | Iterable[Place] | None
    """Where features are transformed, some of encoder,skip,decoder; default all."""
    blend: int | None
    """Pixels from a region's border up to which neighbors mix, 0 to 64; default 0 with
    published, 3 with nearest.
    """
    sequence: str | bytes | None
    """Id of the shot of a video that the content photo is the next frame of, up to 64 bytes.
    Frames of one id get regions and colors that do not flicker; begin a new id at a cut.
    """
    steady: float | None
    """Share of the frames before in a frame's regions and statistics, 0 to 0.99; default 0.5.
    Needs sequence.
    """
    full_resolution: bool | None
    """Carry the result over to all the pixels of the content photo; default false. size is then
    the size that the transfer works at.
    """
    pairs: Iterable[tuple[int, int | None]] | None
    """Instead of match: rows of a content label and the style label that it takes, -1 (None in
    Python, null in JSON) for the whole style photo. Content regions in no row keep their own
    look.
    """
