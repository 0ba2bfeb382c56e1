"""Measured numbers as medians with their range, in reports of JSON and Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import machine


class Spread(NamedTuple):
    """Median and range of repeated measurements."""

    median: float
    min: float
    max: float
    repeats: int

    @classmethod
    def of(cls, values: Iterable[float], tail: float = 0) -> Spread:
        """The spread of some values, without the `tail` percent at either end.

        Raises ValueError when there are none.
        """
        found = list(values)
        if not found:
            raise ValueError("A spread needs at least one value.")
        low, middle, high = np.percentile(found, [tail, 50, 100 - tail]).tolist()
        return cls(middle, low, high, len(found))


Cell = Spread | float | str | None
Row = Mapping[str, Cell]


class Column(NamedTuple):
    """Heading of a column, with its unit, and number of decimals."""

    heading: str
    digits: int = 2


@dataclass(frozen=True)
class Part:
    """Results of one part of a benchmark.

    `columns` name the row keys that the Markdown table shows; a row may have more keys, for the
    JSON file. A missing key gives an empty cell; without columns there is no table.
    """

    title: str
    columns: Mapping[str, Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Rows and notes as plain JSON values."""
        rows = [{key: _plain(value) for key, value in row.items()} for row in self.rows]
        return {"rows": rows, "notes": list(self.notes)}

    def as_markdown(self) -> list[str]:
        """Lines of a section: heading, table, notes."""
        lines = [f"## {self.title}", ""]
        if self.columns:
            table = [[column.heading for column in self.columns.values()]]
            table.append(["---"] * len(self.columns))
            for row in self.rows:
                cells = [_text(row.get(key), one.digits) for key, one in self.columns.items()]
                table.append(cells)
            lines += [*(f"| {' | '.join(line)} |" for line in table), ""]
        if self.notes:
            lines += [*(f"- {note}" for note in self.notes), ""]
        return lines


@dataclass
class Report:
    """Results so far, as ``NAME.json`` and ``NAME.md`` in a folder, written after every part."""

    folder: Path
    name: str
    title: str
    settings: Mapping[str, Any]
    facts: dict[str, Any] = field(default_factory=machine)
    parts: dict[str, Part] = field(default_factory=dict)

    def add(self, *parts: Part) -> None:
        """Add parts, or replace those of the same title, and write the files."""
        self.parts |= {part.title: part for part in parts}
        found = {
            "settings": self.settings,
            "machine": self.facts,
            "parts": {title: part.as_json() for title, part in self.parts.items()},
        }
        text = json.dumps(found, indent=1, allow_nan=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}.json").write_text(f"{text}\n", encoding="utf-8")
        (self.folder / f"{self.name}.md").write_text(self.as_markdown(), encoding="utf-8")

    def as_markdown(self) -> str:
        """Settings and machine, then a section per part that has something to show."""
        about = ("Settings", self.settings), ("Machine and versions", self.facts)
        lines = [f"# {self.title}", ""]
        for words, values in about:
            listed = (f"{name} {value}" for name, value in values.items() if value is not None)
            lines += [f"{words}: {', '.join(listed)}.", ""]
        for part in self.parts.values():
            if part.columns or part.notes:
                lines += part.as_markdown()
        return "\n".join(lines)


def _text(value: Cell, digits: int) -> str:
    """A cell: a spread as median (min..max), a number with `digits` decimals."""
    if value is None:
        return ""
    if isinstance(value, Spread):
        middle, low, high = (f"{number:.{digits}f}" for number in value[:3])
        return f"{middle} ({low}..{high})"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def _plain(value: Cell) -> Any:
    if isinstance(value, Spread):
        return {key: _plain(number) for key, number in value._asdict().items()}
    # Six digits exceed the accuracy of any clock, and keep the file readable.
    return float(f"{value:.6g}") if isinstance(value, float) else value
