"""Results of a quality run, as JSON and as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from machine import machine
from tables import table

from judging.judge import Measures


@dataclass(frozen=True)
class Outcome:
    """The measures of one pair's result, in the row `what`."""

    pair: str
    what: str
    measures: Measures


class Spread(NamedTuple):
    """Median and 10th and 90th percentile of one measure over pairs."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(*(float(value) for value in np.percentile(values, [50, 10, 90])))


_COLUMNS = {
    "structure": ("structure kept", 2),
    "style": ("distance from style", 1),
    "residual": ("residual", 1),
    "p99": ("p99", 0),
}

_LEGEND = """\
- structure kept: SSIM of the luma edges of content and result; 1 is best.
- distance from style: of the result's colors from the style's, drawn region by drawn region
  whatever regions a result was made with (sliced Wasserstein, CIELAB); lower is closer.
- residual: in every 17x17 window, the root mean square of what no affine function of the content's
  colors explains in the result, in 8-bit levels, averaged over the picture; p99 is its 99th
  percentile. 0 is light and color changed and nothing else; torn regions and fringes show in p99.

All at the content's own size; a result of another size is resized. Definitions and sources:
`benchmarks/judging/metrics.py`.
"""


def summarize(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Spread]]:
    """Return the spread of every measure for each row, in order of first appearance."""
    rows: dict[str, list[Measures]] = {}
    for outcome in outcomes:
        rows.setdefault(outcome.what, []).append(outcome.measures)
    return {
        what: {
            measure.name: Spread.of([getattr(one, measure.name) for one in found])
            for measure in fields(Measures)
        }
        for what, found in rows.items()
    }


def as_json(settings: dict[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The results as plain JSON values: settings, machine, summary and each outcome."""
    return {
        "settings": settings,
        "machine": machine(),
        "summary": {
            what: {
                name: {key: round(value, 4) for key, value in spread._asdict().items()}
                for name, spread in spreads.items()
            }
            for what, spreads in summarize(outcomes).items()
        },
        "outcomes": [
            {
                "pair": outcome.pair,
                "what": outcome.what,
                **{name: round(value, 4) for name, value in asdict(outcome.measures).items()},
            }
            for outcome in outcomes
        ],
    }


def as_markdown(settings: dict[str, Any], outcomes: Sequence[Outcome]) -> str:
    """The results as Markdown: one table of medians, with 10th to 90th percentile in brackets."""
    pairs = len({outcome.pair for outcome in outcomes})
    rows = []
    for what, spreads in summarize(outcomes).items():
        count = sum(outcome.what == what for outcome in outcomes)
        name = what if count == pairs else f"{what} ({count} of the pairs)"
        cells = [_text(spreads[key], digits) for key, (_, digits) in _COLUMNS.items()]
        rows.append([name, *cells])
    said = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    return "\n".join(
        [
            "# Quality of style transfers",
            "",
            f"{pairs} pairs; {said}. Medians (10th to 90th percentile).",
            "",
            *table(["what", *(heading for heading, _ in _COLUMNS.values())], rows),
            "",
            _LEGEND,
        ]
    )


def _text(spread: Spread, digits: int) -> str:
    middle, low, high = (f"{value:.{digits}f}" for value in spread)
    return f"{middle} ({low}..{high})"
