"""Orientation of a photo by its EXIF data."""

from __future__ import annotations

from PIL import ExifTags, Image

from photoreal.preprocess.metadata import ODD
from photoreal.preprocess.photo import Reduced

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image of an EXIF orientation upright."""
_FIRST_QUARTER_TURN = 5


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 if there is none or it cannot be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(found) if found in _TURNS else 1
    except ODD:
        return 1


def upright(image: Image.Image) -> Image.Image:
    """The image turned upright, or itself if it is.

    Not `ImageOps.exif_transpose`, which copies the image and fails on any odd tag.
    """
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def upright_part(image: Image.Image, height: int, width: int, scale: int) -> Reduced:
    """What an image that was decoded at 1/`scale` of a height and width is, once upright."""
    shape, (right, bottom) = (height, width), image.size
    box = (0.0, 0.0, width / scale, height / scale)
    found = orientation(image)
    if found in (2, 3, 7, 8):
        box = (right - box[2], box[1], right - box[0], box[3])
    if found in (3, 4, 6, 7):
        box = (box[0], bottom - box[3], box[2], bottom - box[1])
    if found >= _FIRST_QUARTER_TURN:
        shape, box = shape[::-1], (box[1], box[0], box[3], box[2])
    return Reduced(shape, box)
