"""Makes the pictures of the documentation's gallery, through a real Triton server.

``python examples/gallery.py`` writes them to ``docs/gallery``, after `photoreal export`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image

from panels import side_by_side
from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.client.cli.label_picture import color_regions
from photoreal.errors import PhotorealError
from photoreal.serve.launch.embedded import embedded_server

EXAMPLES = Path(__file__).parent
OUTPUT = EXAMPLES.parent / "docs" / "gallery"
PAGODA, ROCKET = EXAMPLES / "photos/china.jpg", EXAMPLES / "photos/rocket.jpg"
DUSK = EXAMPLES / "rendered/dusk.jpg"
SIZE = 320
HEIGHT = 280
QUALITY = 88

Stylize = Callable[..., StylizeResult]


def pagoda_at_night(stylize: Stylize) -> list[Image.Image]:
    """A photo by day takes the light of one at night."""
    result = stylize(PAGODA, ROCKET, **_masks(PAGODA, ROCKET))
    return [_open(PAGODA), _open(ROCKET), result.image]


def rocket_at_dusk(stylize: Stylize) -> list[Image.Image]:
    """A photo at night takes the light of the evening."""
    return [_open(ROCKET), _open(DUSK), stylize(ROCKET, DUSK, **_masks(ROCKET, DUSK)).image]


def lake_by_day(stylize: Stylize) -> list[Image.Image]:
    """A rendered scene takes the light of a photo, both taken whole."""
    return [_open(DUSK), _open(PAGODA), stylize(DUSK, PAGODA, segment=False).image]


def strength(stylize: Stylize) -> list[Image.Image]:
    """The strength from 0 to 1."""
    masks = _masks(PAGODA, DUSK)
    return [stylize(PAGODA, DUSK, alpha=alpha, **masks).image for alpha in (0, 0.35, 0.7, 1)]


def mix(stylize: Stylize) -> list[Image.Image]:
    """Two styles, from the first alone to the second alone."""
    masks = {"content_mask": _mask(PAGODA), "style_mask": [_mask(DUSK), _mask(ROCKET)]}
    return [
        stylize(PAGODA, [DUSK, ROCKET], weights=[1 - share, share], **masks).image
        for share in (0, 0.35, 0.7, 1)
    ]


def regions(stylize: Stylize) -> list[Image.Image]:
    """No regions, those that the server finds, and how it sees the photo."""
    found = stylize(PAGODA, DUSK)
    whole = stylize(PAGODA, DUSK, segment=False)
    return [whole.image, found.image, color_regions(found.content_labels)]


PICTURES = (pagoda_at_night, rocket_at_dusk, lake_by_day, strength, mix, regions)


def main() -> int:
    """Make the pictures; the exit code is 1 when the server fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="name of a picture, several times")
    only = parser.parse_args().only
    OUTPUT.mkdir(exist_ok=True)
    try:
        with embedded_server() as server, StyleTransferClient(server.http_url) as client:
            for make in PICTURES:
                if only and make.__name__ not in only:
                    continue
                file = OUTPUT / f"{make.__name__.replace('_', '-')}.jpg"
                pictures = make(partial(client.stylize, size=SIZE))
                height = HEIGHT if len(pictures) == 3 else HEIGHT * 3 // 4
                side_by_side(pictures, height).save(file, quality=QUALITY, optimize=True)
                print(f"{file.name}: {file.stat().st_size // 1000} kB")
    except PhotorealError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _mask(photo: Path) -> Path:
    return photo.with_name(f"{photo.stem}_mask.png")


def _masks(content: Path, style: Path) -> dict[str, Path]:
    return {"content_mask": _mask(content), "style_mask": _mask(style)}


def _open(photo: Path) -> Image.Image:
    return Image.open(photo).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
