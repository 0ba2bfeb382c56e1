"""Bar charts as SVG, without a library: one bar per row, its range as a whisker."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tables import Spread

_WIDTH, _ROW, _TOP, _LEFT, _RIGHT = 720, 24, 36, 150, 150
_BAR = 14
_COLORS = {"bar": "#4c78a8", "whisker": "#333333", "text": "#222222", "back": "#ffffff"}


def bar_chart(title: str, bars: Sequence[tuple[str, Spread]], unit: str) -> str:
    """The chart as an SVG document; every value must be at least 0."""
    longest = max((spread.max for _, spread in bars), default=0.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / longest
    height = _TOP + _ROW * len(bars) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        f' width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="{_COLORS["back"]}"/>',
        _text(_LEFT, 22, title, "start", bold=True),
    ]
    for number, (label, spread) in enumerate(bars):
        middle = _TOP + _ROW * number + _ROW / 2
        low, high = _LEFT + spread.min * scale, _LEFT + spread.max * scale
        lines += [
            _text(_LEFT - 8, middle + 4, label, "end"),
            f'<rect x="{_LEFT}" y="{middle - _BAR / 2:.1f}" width="{spread.median * scale:.1f}"',
            f' height="{_BAR}" fill="{_COLORS["bar"]}"/>',
            f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 4:.1f}v8',
            f' M{high:.1f} {middle - 4:.1f}v8" stroke="{_COLORS["whisker"]}" fill="none"/>',
            _text(high + 8, middle + 4, f"{spread.median:.3g} {unit}", "start"),
        ]
    return "\n".join([*lines, "</svg>", ""])


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_COLORS["text"]}"{weight}>'
        f"{escape(words)}</text>"
    )
