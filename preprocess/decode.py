"""Decode images upright, in accepted formats only and within limits."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from photoreal.errors import InvalidImage, InvalidMask, InvalidRequest
from photoreal.preprocess.deep import (
    WHITE,
    byte_modes,
    deep_mode,
    has_deep_planes,
    join_bytes,
    on_white,
    take_mode,
)
from photoreal.preprocess.formats import phone_format, usable
from photoreal.preprocess.limits import MASK_FORMATS, Limits
from photoreal.preprocess.metadata import DAMAGED, ODD, Exif, read_exif
from photoreal.preprocess.orientation import upright, upright_part
from photoreal.preprocess.photo import Photo
from photoreal.preprocess.profiles import (
    gray_in_srgb,
    metadata_in_srgb,
    photo_in_space,
    photo_of_image,
)
from photoreal.preprocess.quiet import without_warnings
from photoreal.preprocess.resize import working_size
from photoreal.regions import check_label_count, labels_from_colors

_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_SPARE = 3
"""A reduced photo has at least this many times the sides of the working size."""


def _go_on() -> None:
    """Do nothing: the default `check`, which never stops decoding."""


class Mask(NamedTuple):
    """A decoded mask: its label map (H, W) uint8, and whether it had gray values or colors."""

    labels: npt.NDArray[np.uint8]
    kind: Literal["labels", "colors"]


def read_photo(
    data: bytes,
    name: str,
    limits: Limits,
    check: Callable[[], None] = _go_on,
    size: int | None = None,
) -> Photo:
    """Decode a photo, upright, with 8 or 16 bits per channel as in the file.

    A photo with a profile of an RGB space by primaries and curves (`photoreal.color.icc`) stays in
    that space. All others are converted to sRGB: CMYK, gray and palette images, and colors that a
    profile defines by tables, which come out with 8 bits. Transparent images are composited on
    white. `name`, such as "content photo", is the subject of error messages. `check` is called
    before each read of the data, and may raise to stop decoding.

    A photo that is needed only at a working size is read faster with `size`, its shorter side there
    in pixels: a JPEG is then decoded at 1/2, 1/4 or 1/8, with sides of at least three times the
    working size (the inverse transform of fewer coefficients, as in libjpeg).

    Raises InvalidImage when the data is not an image in an accepted format, is damaged or
    animated, holds floating-point values, or exceeds a limit.
    """
    given = (data, name, limits.formats, limits, InvalidImage, check)
    with _opened(*given, decode=False) as image:
        deep, shape = deep_mode(image), (image.height, image.width)
        if has_deep_planes(image):
            raise InvalidImage(
                f"The {name} is a TIFF with a separate plane of 16 bits for each channel; expected"
                " interleaved channels."
            )
    if deep is None:
        with _opened(*given, size=size) as image:
            photo = _shallow_photo(image, name)
            scale = round(shape[0] / image.height)
            return (
                photo if scale == 1 else replace(photo, reduced=upright_part(image, *shape, scale))
            )
    layers = []
    for mode in byte_modes(deep):
        with _opened(*given, raw_mode=mode) as image:
            layers.append(np.asarray(upright(image)))
            clear = image.info.get("transparency")
            profile, exif = image.info.get("icc_profile"), _exif(image)
        del image  # Pillow's copy of the pixels
    values = join_bytes(layers)
    layers.clear()
    return photo_in_space(on_white(values, deep, clear), profile, exif)


def decode_photo(
    data: bytes, name: str, limits: Limits, check: Callable[[], None] = _go_on
) -> npt.NDArray[np.uint8]:
    """Decode a photo to sRGB (H, W, 3) uint8, upright; arguments and errors as `read_photo`."""
    return read_photo(data, name, limits, check).srgb()


class PhotoHeader(NamedTuple):
    """Height and width of a photo as stored, and bits per channel, 8 or 16."""

    height: int
    width: int
    depth: int


def photo_header(
    data: bytes, name: str, limits: Limits, check: Callable[[], None] = _go_on
) -> PhotoHeader:
    """Read the header of a photo; raises like `read_photo`, except for damaged pixels."""
    with _opened(data, name, limits.formats, limits, InvalidImage, check, decode=False) as image:
        deep = image.mode in _SIXTEEN_BIT or deep_mode(image) is not None
        return PhotoHeader(image.height, image.width, 16 if deep else 8)


def photo_size(
    data: bytes, name: str, limits: Limits, check: Callable[[], None] = _go_on
) -> tuple[int, int]:
    """Height and width of a photo as stored, read from its header."""
    return photo_header(data, name, limits, check)[:2]


def decode_mask(data: bytes, name: str, limits: Limits, check: Callable[[], None] = _go_on) -> Mask:
    """Decode a PNG mask: gray values are labels, colors are those of the nine published labels.

    `check` is called before each read of the data, and may raise to stop decoding. Raises
    InvalidMask when the data is not such a PNG, exceeds a limit or has more labels than a mask may
    have.
    """
    with _opened(data, name, MASK_FORMATS, limits, InvalidMask, check) as image:
        if image.mode in ("1", "L", "LA", *_SIXTEEN_BIT):
            values = np.asarray(image if image.mode in _SIXTEEN_BIT else image.convert("L"))
            if values.max() > 255:
                raise InvalidMask(
                    f"The {name} has labels up to {values.max()}; expected labels from 0 to 255."
                )
            mask = Mask(values.astype(np.uint8), "labels")
        else:
            mask = Mask(labels_from_colors(np.asarray(image.convert("RGB"))), "colors")
    check_label_count(mask.labels, limits.max_regions)
    return mask


class _Checked(io.BytesIO):
    """In-memory file that calls `check` before each read; decoding large images takes many."""

    def __init__(self, data: bytes, check: Callable[[], None]) -> None:
        super().__init__(data)
        self._check = check

    def read(self, size: int | None = -1, /) -> bytes:
        self._check()
        return super().read(size)


@contextmanager
def _opened(
    data: bytes,
    name: str,
    formats: tuple[str, ...],
    limits: Limits,
    error: type[InvalidRequest],
    check: Callable[[], None],
    *,
    decode: bool = True,
    raw_mode: str | None = None,
    size: int | None = None,
) -> Iterator[Image.Image]:
    """Open an image, validate its header and decode it, with another raw mode if one is given.

    `size` as in `read_photo`.
    """
    if not data:
        raise error(f"The {name} is empty; expected an image file.")
    if len(data) > limits.max_bytes:
        raise error(f"The {name} has {len(data)} bytes; expected at most {limits.max_bytes}.")
    with without_warnings():  # malformed metadata is no reason to reject a photo
        try:
            image = Image.open(_Checked(data, check), formats=usable(formats))
        except UnidentifiedImageError:
            kind = phone_format(data)
            found = "not an image" if kind is None else f"a {kind} file, which is not accepted"
            raise error(f"The {name} is {found}; expected {_list(usable(formats))}.") from None
        except Image.DecompressionBombError:
            raise error(f"The {name} has more than {limits.max_pixels} pixels.") from None
        except DAMAGED:
            raise error(f"The {name} is damaged; its header cannot be read.") from None
        with image:
            try:
                _check_header(image, name, limits, error)
                if raw_mode is not None:
                    take_mode(image, raw_mode)
                if size is not None:
                    tall, wide = working_size(image.height, image.width, size)
                    image.draft(None, (_SPARE * wide, _SPARE * tall))
                if decode:
                    image.load()
            except InvalidRequest:
                raise
            except DAMAGED:
                raise error(f"The {name} is truncated or damaged; it cannot be decoded.") from None
            yield image  # outside the try: errors of the caller do not mean a damaged file


def _check_header(
    image: Image.Image, name: str, limits: Limits, error: type[InvalidRequest]
) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise error(
            f"The {name} is {width}x{height} pixels; expected at most {limits.max_pixels} pixels"
            " in total."
        )
    if min(width, height) < limits.min_side:
        raise error(
            f"The {name} is {width}x{height} pixels; expected sides of at least {limits.min_side}."
        )
    # Not `n_frames`: counting the pages of a TIFF takes time quadratic in their number. An MPO
    # file, as some cameras write it, is a JPEG followed by previews. A HEIC file may hold a burst;
    # its primary image is used.
    if getattr(image, "is_animated", False) and image.format not in ("MPO", "HEIF"):
        raise error(f"The {name} has several frames or pages; expected a single image.")


def _exif(image: Image.Image) -> Exif | None:
    try:
        return read_exif(image)
    except ODD:
        return None


def _shallow_photo(image: Image.Image, name: str) -> Photo:
    """A photo with 8 bits per channel, or 16 bits of gray."""
    if image.mode == "F":
        raise InvalidImage(
            f"The {name} holds floating-point values; expected 8 or 16 bits per channel."
        )
    exif, profile = _exif(image), image.info.get("icc_profile")
    clear = image.info.get("transparency")
    image = upright(image)
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > WHITE:
            raise InvalidImage(f"The {name} has more than 16 bits per channel; expected 8 or 16.")
        gray = gray_in_srgb(values.astype(np.uint16), profile)
        pixels = on_white(gray[..., None], image.mode, clear)
        return Photo(pixels, metadata=metadata_in_srgb(profile, exif))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, layer).convert("RGB")
    return photo_of_image(image, profile, exif)


def _list(formats: tuple[str, ...]) -> str:
    names = [{"WEBP": "WebP", "HEIF": "HEIC"}.get(name, name) for name in formats]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
