"""Results of a quality run as parts of a report: medians over the pairs, and every outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tables import Cell, Column, Part, Spread

from judging.judge import Measures

_TAIL = 10  # percent of the pairs at either end that a range leaves out
_COLUMNS = {
    "what": Column("what"),
    "structure": Column("structure kept", 2),
    "style": Column("distance from style", 1),
    "residual": Column("residual", 1),
    "p99": Column("p99", 0),
}
_NOTES = """\
Median (10th..90th percentile) over the pairs, all at the content's own size; a result of another \
size is resized. Definitions and sources: `benchmarks/judging/metrics.py`.
structure kept: SSIM of the luma edges of content and result; 1 is best.
distance from style: of the result's colors from the style's, drawn region by drawn region \
whatever regions a result was made with (sliced Wasserstein, CIELAB); lower is closer.
residual: in every 17x17 window, the root mean square of what no affine function of the content's \
colors explains in the result, in 8-bit levels, averaged over the picture; p99 is its 99th \
percentile. 0 is light and color changed and nothing else; torn regions and fringes show in p99.
""".splitlines()


@dataclass(frozen=True)
class Outcome:
    """The measures of one pair's result, in the row `what`."""

    pair: str
    what: str
    measures: Measures


def summarize(outcomes: Sequence[Outcome]) -> tuple[Part, Part]:
    """The spread of every measure for each row, in order of first appearance; every outcome."""
    pairs = len({outcome.pair for outcome in outcomes})
    rows: dict[str, list[dict[str, float]]] = {}
    for outcome in outcomes:
        rows.setdefault(outcome.what, []).append(asdict(outcome.measures))
    spreads: list[dict[str, Cell]] = []
    for what, found in rows.items():
        name = what if len(found) == pairs else f"{what} ({len(found)} of the pairs)"
        measures = {key: Spread.of((one[key] for one in found), _TAIL) for key in found[0]}
        spreads.append({"what": name, **measures})
    single: list[dict[str, Cell]] = [
        {"pair": one.pair, "what": one.what, **asdict(one.measures)} for one in outcomes
    ]
    medians = Part("Medians", _COLUMNS, spreads, [f"{pairs} pairs.", *_NOTES])
    return medians, Part("Pairs", {}, single)
