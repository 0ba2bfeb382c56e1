"""The keyword arguments of the clients, for type checkers and editors.

Generated from `photoreal.options.stylize` by `make generate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from photoreal.options.stylize import Format, MatchRule, Method, Place


class RegionArguments(TypedDict, total=False):
    """Options of `find_regions`; what is left out, or None, is the server's default."""

    method: Method | None
    """wct2 aligns the colors of regions, then transfers features; color aligns colors alone, in
    two thirds of the time; published is WCT2 as its authors published it, wct2, color or
    published; default wct2.
    """
    size: int | None
    """Shorter side in pixels at which photos are processed, 16 to 2048; default 320; 512 with
    published.
    """
    segment: bool | None
    """Without masks, find regions (true) or take photos whole (false); default true."""
    match: MatchRule | None
    """Rule that matches regions, published or nearest; default nearest; with published and masks
    published.
    """


class StylizeArguments(RegionArguments, total=False):
    """Options of `stylize`; what is left out, or None, is the server's default."""

    weights: Sequence[float] | None
    """Shares of several styles, from 0 up; default equal."""
    alpha: float | None
    """Strength of the transfer, 0 to 1; default 1."""
    color_strength: float | None
    """Strength of the alignment of colors, 0 to 1; default 1."""
    wct2_strength: float | None
    """Strength of the transfer of features after it, 0 to 1; default 1 with masks, 0.5 without."""
    output_size: int | None
    """Shorter side of the result in pixels, no more than the photo's own, 16 to 100000; default
    the content photo's; size with published.
    """
    format: Format | None
    """Format of the result's file, png, jpeg, webp, tiff or raw; default jpeg for a content
    photo that is a JPEG, except with bit_depth 16 and with published; else png. jpeg and webp
    have quality 95, raw is an uncompressed PPM file.
    """
    bit_depth: int | None
    """Bits a channel of the result, 8 or 16; default the content photo's with png or tiff, else
    8.
    """
    metadata: bool | None
    """Keep the content photo's EXIF data (camera, time, place, author); default true. The color
    profile is kept in any case.
    """
    transfer_at: str | Iterable[Place] | None
    """Where features are transformed, some of encoder,skip,decoder; default decoder; all with
    published.
    """
    blend: int | None
    """Pixels from a region's border up to which neighbors mix, 0 to 64; default 0 with the rule
    published, 3 with nearest. Only with the method published; the others have soft regions.
    """
    mask_edges: bool | None
    """Move the borders of masks to the edges of the photos; default true; false with the rule
    published.
    """
    sequence: str | bytes | None
    """Id of a shot of a video; the content photo is its next frame, up to 64 bytes. Frames of
    one id get regions and colors that do not flicker; begin a new id at a cut.
    """
    steady: float | None
    """Weight of earlier frames in a frame's regions and statistics, 0 to 0.99; default 0.5.
    Needs sequence.
    """
    pairs: Iterable[tuple[int, int | None]] | None
    """Instead of match: rows of a content label and the style label that it takes, -1 (None in
    Python, null in JSON) for the whole style photo. Content regions in no row keep their own
    look.
    """
