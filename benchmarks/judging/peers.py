"""Methods of color transfer that are run for comparison; see also `judging.methods.folder_peer`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pictures import LIMITS
from PIL import Image

from judging.methods import Method
from judging.pairs import InvalidPair, PhotoPair
from photoreal.color.align import apply_map
from photoreal.color.transport import color_map, color_moments
from photoreal.preprocess import decode_photo

COLOR_MATCHER = "color-matcher"
_MATCHING = "hm-mkl-hm"  # what its library calls hm-mvgd-hm; the program's pairs pixels by position


def monge_kantorovich(pair: PhotoPair) -> Image.Image:
    """The linear map between two Gaussians that moves colors least (Pitie and Kokaram, 2007)."""
    photos = [photo.transpose(2, 0, 1).astype(np.float32) / 255 for photo in pair.photos()]
    moments = [color_moments(photo, np.ones(photo.shape[1:], dtype=np.float32)) for photo in photos]
    mapped = apply_map(color_map(*moments, gain=np.inf, ridge=1e-6), photos[0])
    pixels = np.rint(255 * np.clip(mapped, 0, 1)).astype(np.uint8)
    return Image.fromarray(pixels.transpose(1, 2, 0))


def color_matcher() -> Method | None:
    """color-matcher, a GPL program, so not imported; None if it is not installed."""
    beside = str(Path(sys.executable).parent)
    program = shutil.which(COLOR_MATCHER, path=beside) or shutil.which(COLOR_MATCHER)
    return None if program is None else partial(_matched, program)


def _matched(program: str, pair: PhotoPair) -> Image.Image:
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
