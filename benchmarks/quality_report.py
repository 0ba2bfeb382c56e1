"""What a quality run found, as numbers, as JSON and as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal, NamedTuple

from machine import machine
from tables import table

Source = Literal["masks", "automatic", "none"]
SOURCES: tuple[Source, ...] = ("masks", "automatic", "none")
"""Where regions come from: drawn masks, the segmenter, or none (the photo is one region)."""


class Variant(NamedTuple):
    """One way of stylizing a pair; `places` as in the request, separated by commas."""

    regions: Source
    places: str

    def __str__(self) -> str:
        return f"{self.regions} ({self.places})"


@dataclass(frozen=True)
class Measures:
    """The measures of one pair stylized in one way; None where one does not apply.

    structure: `structure_kept` of content and result, up to 1.
    style_before, style_after: `style_distance` of content and of result to the style, over the
        regions that the run used, in CIELAB.
    drawn_before, drawn_after: the same over the drawn masks, whichever regions the run used,
        so that ways of finding regions compare; None for a pair without masks.
    seams: `seam_ratio` at the borders of the run's regions; None for a single region.
    drawn_seams: the same at the borders of the drawn masks. A run without regions cannot have
        seams there: its value is what the change of light alone does.
    reconstruction_db: PSNR of the content stylized by itself, in dB; None when not asked for.
    styled_share: share of the content's pixels that took a style, 0 to 1.
    seconds: of the transfer alone, on this machine.
    """

    structure: float
    style_before: float | None
    style_after: float | None
    drawn_before: float | None
    drawn_after: float | None
    seams: float | None
    drawn_seams: float | None
    reconstruction_db: float | None
    styled_share: float
    seconds: float


class Outcome(NamedTuple):
    """The measures of one pair under one variant."""

    pair: str
    variant: Variant
    measures: Measures


class Spread(NamedTuple):
    """Median and range of one measure over the pairs that have it."""

    median: float
    min: float
    max: float
    pairs: int


_COLUMNS = {
    "structure": ("structure kept", 3),
    "style_before": ("style before", 1),
    "style_after": ("style after", 1),
    "drawn_before": ("drawn style before", 1),
    "drawn_after": ("drawn style after", 1),
    "seams": ("seams", 2),
    "drawn_seams": ("drawn seams", 2),
    "reconstruction_db": ("reconstruction dB", 1),
    "styled_share": ("styled share", 2),
    "seconds": ("transfer s", 1),
}

_LEGEND = """\
- structure kept: SSIM of the luma edges of content and result; 1 is best.
- style before, after: distance of the colors of content and of result from the style's, region
  by region (sliced Wasserstein, CIELAB); lower is closer.
- seams: how much more edges at region borders grew than edges elsewhere; 1 is no more.
- drawn: the same by the drawn masks, whichever regions the run used. A run without regions shows
  there what the change of light alone does to borders.
- reconstruction: PSNR of the content stylized by itself, 8 bits a channel; 100 is no difference.

Definitions and sources: `benchmarks/quality_metrics.py`.
"""


def summarize(outcomes: Sequence[Outcome]) -> dict[Variant, dict[str, Spread]]:
    """Median and range of every measure, for each variant in the order of appearance.

    A measure that no pair has is left out.
    """
    found: dict[Variant, dict[str, list[float]]] = {}
    for outcome in outcomes:
        values = found.setdefault(outcome.variant, {})
        for name, value in asdict(outcome.measures).items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {
        variant: {
            name: Spread(median(values), min(values), max(values), len(values))
            for name, values in measures.items()
        }
        for variant, measures in found.items()
    }


def as_json(settings: dict[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything as plain JSON values: settings, machine, each outcome, the summary."""
    return {
        "settings": settings,
        "machine": machine(),
        "outcomes": [
            {
                "pair": outcome.pair,
                **outcome.variant._asdict(),
                **{name: _rounded(value) for name, value in asdict(outcome.measures).items()},
            }
            for outcome in outcomes
        ],
        "summary": [
            {
                **variant._asdict(),
                **{
                    name: {key: _rounded(value) for key, value in spread._asdict().items()}
                    for name, spread in spreads.items()
                },
            }
            for variant, spreads in summarize(outcomes).items()
        ],
    }


def as_markdown(settings: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    """A document with the summary (median, and min..max in brackets) and a row for each run."""
    names = [
        name
        for name in _COLUMNS
        if any(getattr(outcome.measures, name) is not None for outcome in outcomes)
    ]
    heads = [_COLUMNS[name][0] for name in names]
    summary = [
        [variant.regions, variant.places, *(_spread_text(name, spreads) for name in names)]
        for variant, spreads in summarize(outcomes).items()
    ]
    runs = [
        [
            outcome.pair,
            *outcome.variant,
            *(_text(name, getattr(outcome.measures, name)) for name in names),
        ]
        for outcome in outcomes
    ]
    said = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    pairs = len({outcome.pair for outcome in outcomes})
    return "\n".join(
        [
            "# Quality of style transfers",
            "",
            f"{pairs} pairs; {said}.",
            "",
            *table(["regions", "places", *heads], summary),
            "",
            _LEGEND,
            "## Pairs",
            "",
            *table(["pair", "regions", "places", *heads], runs),
            "",
        ]
    )


def _text(name: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{_COLUMNS[name][1]}f}"


def _spread_text(name: str, spreads: dict[str, Spread]) -> str:
    spread = spreads.get(name)
    if spread is None:
        return ""
    middle, low, high = (_text(name, value) for value in spread[:3])
    return f"{middle} ({low}..{high})"


def _rounded(value: float | None) -> float | None:
    return value if value is None else round(value, 4)
