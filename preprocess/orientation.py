"""Orientation of a photo by its EXIF data."""

from __future__ import annotations

from PIL import ExifTags, Image

from photoreal.preprocess.metadata import ODD

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


def upright_shape(image: Image.Image, height: int, width: int) -> tuple[int, int]:
    """Height and width, swapped if the image is stored on its side."""
    return (width, height) if orientation(image) >= _FIRST_QUARTER_TURN else (height, width)
