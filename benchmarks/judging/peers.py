"""Other methods of style and color transfer, to compare with photoreal.

- results that another program wrote to a folder, such as the published pictures of Deep Photo
  Style Transfer;
- the linear Monge-Kantorovich map of the whole photo's colors, one 3x3 matrix;
- color-matcher, which is GPL-licensed and therefore run as a separate program.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pictures import LIMITS
from PIL import Image

from judging.pairs import InvalidPair, PhotoPair
from photoreal.color.align import apply_map
from photoreal.color.transport import color_map, color_moments
from photoreal.errors import InvalidOption
from photoreal.preprocess import decode_photo

Method = Callable[[PhotoPair], Image.Image | None]
"""Makes the result of a pair; None if the method has none for it."""

COLOR_MATCHER = "color-matcher"
_MATCHING = "hm-mkl-hm"


def copy(pair: PhotoPair) -> Image.Image:
    """The content itself, the reference for every other row."""
    return Image.fromarray(pair.photos()[0])


def folder_peer(option: str) -> tuple[str, Method]:
    """Name and method of an option NAME=PATTERN, a path in which {pair} is the pair's name.

    Raises InvalidOption for an option that is not of this form.
    """
    name, _, pattern = option.partition("=")
    if not name or "{pair}" not in pattern:
        raise InvalidOption(
            f"The peer is {option!r}; expected NAME=PATTERN, a file's path with {{pair}} for the"
            " name of the pair."
        )

    def read(pair: PhotoPair) -> Image.Image | None:
        file = Path(pattern.replace("{pair}", pair.name))
        if not file.exists():
            return None
        with pair.named():
            return Image.fromarray(decode_photo(file.read_bytes(), f"result of {name}", LIMITS))

    return name, read


def monge_kantorovich(pair: PhotoPair) -> Image.Image:
    """The content with the color mean and covariance of the style, by one linear map.

    Pitie and Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping for Example-Based
    Colour Transfer" (CVMP 2007), section 4: of all linear maps between the two Gaussians, the one
    that moves colors least.
    """
    photos = [photo.transpose(2, 0, 1).astype(np.float32) / 255 for photo in pair.photos()]
    moments = [color_moments(photo, np.ones(photo.shape[1:], dtype=np.float32)) for photo in photos]
    mapped = apply_map(color_map(*moments, gain=np.inf), photos[0])
    pixels = np.rint(255 * np.clip(mapped, 0, 1)).astype(np.uint8)
    return Image.fromarray(pixels.transpose(1, 2, 0))


def find_color_matcher() -> str | None:
    """Path of the program, beside this Python or on the PATH; None if it is not installed."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(COLOR_MATCHER, path=beside) or shutil.which(COLOR_MATCHER)


def color_matcher(program: str) -> Method:
    """color-matcher as a method: histogram matching before and after a linear map.

    Its name for this is `hm-mkl-hm`. The library function `transfer`, which others call, computes
    the same for `hm-mvgd-hm` as well (version 0.6); the program's own `hm-mvgd-hm` requires photos
    of one size and pairs their pixels by position.
    """

    def match(pair: PhotoPair) -> Image.Image:
        with TemporaryDirectory() as name:
            content, style = Path(name, "content.png"), Path(name, "style.png")
            for file, photo in zip((content, style), pair.photos(), strict=True):
                Image.fromarray(photo).save(file)
            call: list[str | Path] = [program, "-s", content, "-r", style, "-m", _MATCHING]
            done = subprocess.run(call, capture_output=True, text=True, check=False)
            result = content.with_stem(f"content_{_MATCHING}")
            if not result.exists():  # the exit code is 1 on success
                said = done.stderr.strip().rpartition("\n")[2]
                raise InvalidPair(f"Pair {pair.name!r}: {COLOR_MATCHER} failed ({said}).")
            return Image.fromarray(decode_photo(result.read_bytes(), "result", LIMITS))

    return match
