"""Cache warming: have a server measure styles before their first use.

A style photo is stylized with itself, and a preset file is used for a gray picture; the server
keeps the measures for as long as its style cache has room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from photoreal.client.client import StyleTransferClient
from photoreal.client.errors import InvalidInput
from photoreal.client.style import PRESET_SUFFIX
from photoreal.preprocess.limits import PHOTO_FORMATS

_MASK = "_mask"
_GRAY = np.full((64, 64, 3), 128, dtype=np.uint8)


class Preset(NamedTuple):
    """A style photo or a preset file and, where there is one, the photo's mask."""

    style: Path
    mask: Path | None = None


def find_presets(folder: Path) -> list[Preset]:
    """Return the presets in a folder: every file, with ``NAME_mask.png`` as mask of ``NAME.*``.

    Hidden files are left out.

    Raises:
        InvalidInput: a file is neither an image nor a preset file, or the folder holds none.
    """
    files = sorted(
        path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")
    )
    masks = {path.stem.removesuffix(_MASK): path for path in files if path.stem.endswith(_MASK)}
    styles = [path for path in files if not path.stem.endswith(_MASK)]
    for path in files:
        if path.suffix.lower() != PRESET_SUFFIX:
            _check_image(path)
    if not styles:
        raise InvalidInput(f"There is no preset in {str(folder)!r}; expected style photos.")
    return [Preset(path, masks.get(path.stem)) for path in styles]


def warm_styles(
    client: StyleTransferClient,
    presets: Iterable[Preset],
    report: Callable[[str], None],
    *,
    size: int | None = None,
) -> None:
    """Add every style to the server's style cache; ``report`` gets one line per style.

    Args:
        client: a client of the server.
        presets: styles with their masks.
        report: called with each line.
        size: shorter side of the later pictures in pixels; None for the server's default.

    Raises:
        ClientError: as from :meth:`StyleTransferClient.stylize`.
    """
    for style, mask in presets:
        if style.suffix.lower() == PRESET_SUFFIX:
            # Without regions in the content, a preset with regions of any source can be used.
            result = client.stylize(_GRAY, style, segment=False, size=size)
        else:
            result = client.stylize(style, style, content_mask=mask, style_mask=mask, size=size)
        seconds = result.report["seconds"]["total"]
        known = "already cached" if result.report["style"] == "cached" else "measured"
        report(f"{style.name}: {known}, {seconds:.1f} s")


def _check_image(path: Path) -> None:
    try:
        with Image.open(path, formats=PHOTO_FORMATS) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInput(f"The preset {path.name!r} is not an image.") from error
