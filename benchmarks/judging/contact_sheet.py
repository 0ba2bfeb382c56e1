"""Contact sheets: pictures in rows under column headings, each with a caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

_INK, _PAPER, _FAINT = "#202020", "#ffffff", "#707070"
_MARGIN, _TEXT = 8, 13


class Cell(NamedTuple):
    """One picture and its caption; without a picture the cell stays blank."""

    picture: Image.Image | None
    caption: str = ""


class Row(NamedTuple):
    """One row: its name, and its cells from left to right."""

    name: str
    cells: Sequence[Cell]


def contact_sheet(
    headings: Sequence[str], rows: Sequence[Row], width: int = 320, height: int = 220
) -> Image.Image:
    """Lay pictures out in a grid.

    Every picture is scaled to fit `width` x `height` pixels, with its aspect ratio kept; captions
    that do not fit are truncated. Raises ValueError unless every row has one cell per heading.
    """
    if any(len(row.cells) != len(headings) for row in rows):
        raise ValueError(f"Every row of the sheet needs {len(headings)} cells.")
    font = ImageFont.load_default(size=_TEXT)
    line = _TEXT + 5
    tall = line + height + line + _MARGIN
    sheet = Image.new(
        "RGB",
        (_MARGIN + len(headings) * (width + _MARGIN), 2 * _MARGIN + line + len(rows) * tall),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)

    def write(x: int, y: int, words: str, ink: str) -> None:
        while words and draw.textlength(words, font) > width:
            words = words[:-1]
        draw.text((x, y), words, ink, font)

    for column, heading in enumerate(headings):
        write(_MARGIN + column * (width + _MARGIN), _MARGIN, heading, _INK)
    for number, row in enumerate(rows):
        top = 2 * _MARGIN + line + number * tall
        write(_MARGIN, top, row.name, _INK)
        for column, cell in enumerate(row.cells):
            left = _MARGIN + column * (width + _MARGIN)
            write(left, top + line + height + 2, cell.caption, _FAINT)
            if cell.picture is not None:
                fitted = ImageOps.contain(cell.picture.convert("RGB"), (width, height))
                sheet.paste(
                    fitted,
                    (
                        left + (width - fitted.width) // 2,
                        top + line + (height - fitted.height) // 2,
                    ),
                )
    return sheet
