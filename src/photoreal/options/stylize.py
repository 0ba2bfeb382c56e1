"""`StylizeOptions`: every option of a request to the `stylize` model.

To add an option, declare it here, run `make generate`, and use `request.NAME` in
`photoreal.pipeline.stylize`. See docs/development.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from photoreal.options.checks import either, some_of, split_words
from photoreal.options.declared import (
    Option,
    Where,
    choice,
    flag,
    identifier,
    label_pairs,
    number,
    numbers,
    options_of,
    whole,
    whole_of,
    words,
)

Place = Literal["encoder", "skip", "decoder"]
PLACES: tuple[Place, ...] = ("encoder", "skip", "decoder")
"""Places where features can be transformed (WCT2, section 3.3 and the ablation of section 4)."""

MatchRule = Literal["published", "nearest"]
MATCH_RULES: tuple[MatchRule, ...] = ("published", "nearest")

Method = Literal["wct2", "color", "published"]
METHODS: tuple[Method, ...] = ("wct2", "color", "published")
"""Color alignment by region, then WCT2; color alignment only; WCT2 as published."""

Format = Literal["png", "jpeg", "webp", "tiff", "raw"]
FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp", "tiff", "raw")
"""Formats of the result; `raw` is a PPM file: one line, then the pixels as they are."""
DEEP_FORMATS: tuple[Format, ...] = ("png", "tiff")
"""Formats that hold 16 bits a channel."""
BIT_DEPTHS = (8, 16)
DEFAULT_QUALITY = 95
"""Quality of JPEG and WebP, in 1..100."""

DEFAULT_ALPHA = 1.0
DEFAULT_METHOD: Method = "wct2"
DEFAULT_SIZE = 320
MAX_OUTPUT_SIZE = 100_000
PUBLISHED_SIZE = 512
"""Default size with `published`, whose result has the network's output size."""
DEFAULT_WCT2_STRENGTH = {"masks": 1.0, "found": 0.5}
"""Default strength by source of the regions: higher for hand-drawn masks."""
SOFT_PLACES: tuple[Place, ...] = ("decoder",)
"""Default places of the method `wct2`: features are transformed once a level."""
DEFAULT_BLEND: dict[MatchRule, int] = {"published": 0, "nearest": 3}
"""Distance in pixels from a border within which neighbors mix, by matching rule."""
MAX_BLEND = 64
DEFAULT_STEADY = 0.5
"""Weight of the previous frames in a frame's regions and statistics."""
MAX_STEADY = 0.99
MAX_SEQUENCE_ID = 64
"""Maximum length of a sequence id in bytes."""


@dataclass(frozen=True, kw_only=True)
class StylizeOptions:
    """The options of a request, with the server's defaults."""

    weights: Sequence[float] | None = numbers(
        "Shares of several styles, from 0 up",
        default_words="equal",
        tensor_name="STYLE_WEIGHTS",
        offered=(),  # commands take them beside --style
        transfer=True,
    )
    alpha: float = number(DEFAULT_ALPHA, "Strength of the transfer", low=0, high=1, transfer=True)
    method: Method = choice(
        DEFAULT_METHOD,
        METHODS,
        "`wct2` aligns the colors of regions, then transfers features; `color` aligns colors alone,"
        " in two thirds of the time; `published` is WCT2 as its authors published it",
        offered=("command", "video", "form", "regions"),
    )
    color_strength: float = number(1.0, "Strength of the alignment of colors", low=0, high=1)
    wct2_strength: float | None = number(
        None,
        "Strength of the transfer of features after it",
        low=0,
        high=1,
        default_words=f"{DEFAULT_WCT2_STRENGTH['masks']:g} with masks,"
        f" {DEFAULT_WCT2_STRENGTH['found']:g} without",
    )
    size: int | None = whole(
        None,
        "Shorter side in pixels at which photos are processed",
        low=16,
        high=2048,
        unit="pixels",
        default_words=f"{DEFAULT_SIZE}; {PUBLISHED_SIZE} with `published`",
        by_server=True,
        offered=("command", "form", "regions"),  # a video's own is about its frames
    )
    output_size: int | None = whole(
        None,
        "Shorter side of the result in pixels, no more than the photo's own",
        low=16,
        high=MAX_OUTPUT_SIZE,
        unit="pixels",
        default_words="the content photo's; `size` with `published`",
        offered=("command", "form"),
    )
    format: Format | None = choice(
        None,
        FORMATS,
        "Format of the result's file",
        default_words="`jpeg` for a content photo that is a JPEG, except with `bit_depth` 16 and"
        " with `published`; else `png`",
        more=f"`jpeg` and `webp` have quality {DEFAULT_QUALITY}, `raw` is an uncompressed PPM file",
        offered=("form",),  # commands go by the name of the file
    )
    bit_depth: int | None = whole_of(
        None,
        BIT_DEPTHS,
        "Bits a channel of the result",
        unit="bits",
        default_words=f"the content photo's with {either([f'`{one}`' for one in DEEP_FORMATS])},"
        " else 8",
        offered=("command", "form"),
    )
    metadata: bool = flag(
        True,
        "Keep the content photo's EXIF data (camera, time, place, author)",
        off="Leave out the photo's EXIF data: camera, time, place and author.",
        more="The color profile is kept in any case",
        offered=("command", "form"),
    )
    transfer_at: str | Iterable[Place] | None = words(
        None,
        PLACES,
        "Where features are transformed",
        default_words=f"`{','.join(SOFT_PLACES)}`; all with `published`",
        unit="places",
        transfer=True,
    )
    segment: bool = flag(
        True,
        "Without masks, find regions (true) or take photos whole (false)",
        off="Without masks, take photos whole instead of finding their regions.",
        offered=("command", "video", "form", "regions"),
    )
    match: MatchRule | None = choice(
        None,
        MATCH_RULES,
        "Rule that matches regions",
        default_words="`nearest`; with `published` and masks `published`",
        offered=("command", "video", "form", "regions"),
    )
    blend: int | None = whole(
        None,
        "Pixels from a region's border up to which neighbors mix",
        low=0,
        high=MAX_BLEND,
        unit="pixels",
        default_words=f"{DEFAULT_BLEND['published']} with the rule `published`,"
        f" {DEFAULT_BLEND['nearest']} with `nearest`",
        more="Only with the method `published`; the others have soft regions",
        transfer=True,
    )
    mask_edges: bool | None = flag(
        None,
        "Move the borders of masks to the edges of the photos",
        default_words="true; false with the rule `published`",
    )
    sequence: str | bytes | None = identifier(
        "Id of a shot of a video; the content photo is its next frame",
        MAX_SEQUENCE_ID,
        more="Frames of one id get regions and colors that do not flicker; begin a new id at a cut",
        offered=(),
        transfer=True,
    )
    steady: float | None = number(
        None,
        "Weight of earlier frames in a frame's regions and statistics",
        low=0,
        high=MAX_STEADY,
        default_words=f"{DEFAULT_STEADY:g}",
        more="Needs `sequence`",
        offered=(),
        transfer=True,
    )
    pairs: Iterable[tuple[int, int | None]] | None = label_pairs(
        "Instead of `match`: rows of a content label and the style label that it takes, -1 (None"
        " in Python, null in JSON) for the whole style photo",
        more="Content regions in no row keep their own look",
        offered=("form",),
    )


STYLIZE_OPTIONS: tuple[Option, ...] = options_of(StylizeOptions)
TRANSFER_OPTIONS = tuple(option for option in STYLIZE_OPTIONS if option.transfer)
"""The options that the `wct2` model takes as well."""


def offered(where: Where) -> tuple[Option, ...]:
    """The options offered by an interface."""
    return tuple(option for option in STYLIZE_OPTIONS if where in option.offered)


def check_options(options: StylizeOptions) -> None:
    """Validate each option independently; raises InvalidOption.

    Constraints that depend on the rest of the request or on the server's limits are checked
    elsewhere.
    """
    for option in STYLIZE_OPTIONS:
        value = getattr(options, option.name)
        if option.check is not None and value is not None:
            option.check(option.name, value)


def parse_places(value: str | Iterable[str] | None, *, soft: bool) -> tuple[Place, ...]:
    """Parse `transfer_at` into places, in the order of the transfer; raises InvalidOption.

    None is the default: that of soft regions, or that of label maps.
    """
    if value is None:
        return SOFT_PLACES if soft else PLACES
    names = split_words(value)
    some_of(PLACES)("transfer_at", names)
    return tuple(place for place in PLACES if place in names)
