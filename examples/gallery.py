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
DUSK, NOON = EXAMPLES / "rendered/dusk.jpg", EXAMPLES / "rendered/noon.jpg"
HEIGHT = 280
QUALITY = 88

Stylize = Callable[..., StylizeResult]


def pagoda_at_dusk(stylize: Stylize) -> list[Image.Image]:
    """A daytime photo with the light of dusk."""
    return _triple(stylize, PAGODA, DUSK)


def lake_at_night(stylize: Stylize) -> list[Image.Image]:
    """A daytime scene with the light of night."""
    return _triple(stylize, NOON, ROCKET)


def strength(stylize: Stylize) -> list[Image.Image]:
    """The strength from 0 to 1."""
    return [stylize(PAGODA, DUSK, alpha=alpha).image for alpha in (0, 0.35, 0.7, 1)]


def mix(stylize: Stylize) -> list[Image.Image]:
    """Two styles, from the first alone to the second alone."""
    return [
        stylize(NOON, [DUSK, ROCKET], weights=[1 - share, share]).image
        for share in (0, 0.35, 0.7, 1)
    ]


def methods(stylize: Stylize) -> list[Image.Image]:
    """WCT2 as published, colors alone, and both."""
    return [stylize(PAGODA, DUSK, method=method).image for method in ("published", "color", "wct2")]


def regions(stylize: Stylize) -> list[Image.Image]:
    """No regions, the regions that the server finds, and their label map."""
    found = stylize(PAGODA, DUSK, labels=True)
    whole = stylize(PAGODA, DUSK, segment=False)
    return [whole.image, found.image, color_regions(found.content_labels)]


PICTURES = (
    pagoda_at_dusk,
    lake_at_night,
    strength,
    mix,
    methods,
    regions,
)


def main() -> int:
    """Make the pictures; the exit code is 1 if the server fails."""
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
                pictures = make(partial(client.stylize, format="png"))
                height = HEIGHT if len(pictures) == 3 else HEIGHT * 3 // 4
                side_by_side(pictures, height).save(file, quality=QUALITY, optimize=True)
                print(f"{file.name}: {file.stat().st_size // 1000} kB")
    except PhotorealError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _triple(stylize: Stylize, content: Path, style: Path) -> list[Image.Image]:
    return [_open(content), _open(style), stylize(content, style).image]


def _open(photo: Path) -> Image.Image:
    return Image.open(photo).convert("RGB")


if __name__ == "__main__":
    sys.exit(main())
