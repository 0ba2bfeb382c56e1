"""Measured numbers as medians with their range, as JSON and as Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """Median and range of repeated measurements."""

    median: float
    min: float
    max: float
    repeats: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of some values; raises ValueError when there are none."""
        found = list(values)
        if not found:
            raise ValueError("A spread needs at least one value.")
        return cls(median(found), min(found), max(found), len(found))


Cell = Spread | float | str | None


class Column(NamedTuple):
    """Heading of a column, with its unit, and number of decimals."""

    heading: str
    digits: int = 2


@dataclass(frozen=True)
class Part:
    """Results of one part of a benchmark.

    `columns` name the row keys that the Markdown table shows; a row may have more keys, for the
    JSON file. A missing key gives an empty cell.
    """

    title: str
    columns: Mapping[str, Column]
    rows: Sequence[Mapping[str, Cell]]
    notes: Sequence[str] = field(default_factory=tuple)
    chart: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Rows and notes as plain JSON values."""
        rows = [{key: _plain(value) for key, value in row.items()} for row in self.rows]
        return {"rows": rows, "notes": list(self.notes)}

    def as_markdown(self) -> list[str]:
        """Lines of a section: heading, table, notes, chart."""
        lines = [f"## {self.title}", ""]
        if self.rows:
            heads = [column.heading for column in self.columns.values()]
            rows = [
                [cell_text(row.get(key), column.digits) for key, column in self.columns.items()]
                for row in self.rows
            ]
            lines += [*table(heads, rows), ""]
        if self.chart is not None:
            lines += [f"![{self.title}]({self.chart})", ""]
        if self.notes:
            lines += [*(f"- {note}" for note in self.notes), ""]
        return lines


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def cell_text(value: Cell, digits: int) -> str:
    """A cell as text: a spread as median (min..max), a number with `digits` decimals."""
    if value is None:
        return ""
    if isinstance(value, Spread):
        middle, low, high = (f"{number:.{digits}f}" for number in value[:3])
        return f"{middle} ({low}..{high})"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)


def _plain(value: Cell) -> Any:
    if isinstance(value, Spread):
        return {key: _plain(number) for key, number in value._asdict().items()}
    # Six digits exceed the accuracy of any clock, and keep the file readable.
    return float(f"{value:.6g}") if isinstance(value, float) else value
