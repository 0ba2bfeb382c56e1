"""Example photos offered on the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDERS = ("photos", "rendered")


@dataclass(frozen=True)
class Picture:
    """One example: file, title, alternative text and credit."""

    file: str
    title: str
    alt: str
    credit: str

    @property
    def url(self) -> str:
        """The URL at which the gateway serves it."""
        return f"/examples/{self.file}"


GALLERY = (
    Picture(
        "china.jpg",
        "Pagoda",
        "A pagoda of red and green tiers above trees and a hazy lake, by day",
        "danielbuechele, CC BY 2.0",
    ),
    Picture(
        "noon.jpg",
        "Lake at noon",
        "A rendered meadow and lake before snowy mountains, under a blue sky",
        "photoreal, MIT",
    ),
    Picture(
        "dusk.jpg",
        "Lake at dusk",
        "A rendered lake before mountains at dusk, all orange and violet",
        "photoreal, MIT",
    ),
    Picture(
        "rocket.jpg",
        "Launch pad",
        "A rocket between lit towers under a deep blue evening sky",
        "SpaceX, public domain",
    ),
)


def picture_file(name: str) -> Path | None:
    """The file of an example; None if there is no such example."""
    if name not in {picture.file for picture in GALLERY}:
        return None
    here = Path(__file__).parent
    return next(
        (here / folder / name for folder in _FOLDERS if (here / folder / name).is_file()), None
    )
