"""Decode images to upright sRGB arrays: accepted formats only, and within limits."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from photoreal.errors import InvalidImage, InvalidMask, InvalidRequest
from photoreal.preprocess.formats import phone_format, usable
from photoreal.preprocess.limits import MASK_FORMATS, Limits
from photoreal.regions import check_label_count, labels_from_colors

_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")
# Exceptions that Pillow's decoders raise on damaged data.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,
)


def _go_on() -> None:
    """Do nothing: the default `check`, which never stops decoding."""


class Mask(NamedTuple):
    """A decoded mask: its label map (H, W) uint8, and whether it had gray values or colors."""

    labels: npt.NDArray[np.uint8]
    kind: Literal["labels", "colors"]


def decode_photo(
    data: bytes, name: str, limits: Limits, check: Callable[[], None] = _go_on
) -> npt.NDArray[np.uint8]:
    """Decode a photo to RGB (H, W, 3) uint8, upright and in sRGB.

    16-bit gray is scaled to 8 bits, CMYK and palette images are converted to RGB, and transparent
    images are composited on white. `name`, such as "content photo", is the subject of error
    messages. `check` is called before each read of the data, and may raise to stop decoding.
    Raises InvalidImage when the data is not an image in an accepted format, is damaged or
    animated, holds floating-point values, or exceeds a limit.
    """
    with _opened(data, name, limits.formats, limits, InvalidImage, check) as image:
        return np.asarray(_to_srgb(_upright(image), name))


def photo_size(
    data: bytes, name: str, limits: Limits, check: Callable[[], None] = _go_on
) -> tuple[int, int]:
    """Height and width of a photo as stored, read from its header; raises like `decode_photo`."""
    with _opened(data, name, limits.formats, limits, InvalidImage, check, decode=False) as image:
        return image.height, image.width


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
) -> Iterator[Image.Image]:
    """Open an image, validate its header and decode it."""
    if not data:
        raise error(f"The {name} is empty; expected an image file.")
    if len(data) > limits.max_bytes:
        raise error(f"The {name} has {len(data)} bytes; expected at most {limits.max_bytes}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # malformed metadata is no reason to reject a photo
        try:
            image = Image.open(_Checked(data, check), formats=usable(formats))
        except UnidentifiedImageError:
            kind = phone_format(data)
            found = "no image" if kind is None else f"a {kind} file that cannot be read here"
            raise error(
                f"The {name} is {found}; expected one in {_list(usable(formats))} format."
            ) from None
        except Image.DecompressionBombError:
            raise error(f"The {name} has more than {limits.max_pixels} pixels.") from None
        except _DAMAGED:
            raise error(f"The {name} is damaged; its header cannot be read.") from None
        with image:
            try:
                _check_header(image, name, limits, error)
                if decode:
                    image.load()
            except InvalidRequest:
                raise
            except _DAMAGED:
                raise error(f"The {name} is truncated or damaged; it cannot be decoded.") from None
            yield image  # outside the try: errors of the caller do not mean a damaged file


def _check_header(
    image: Image.Image, name: str, limits: Limits, error: type[InvalidRequest]
) -> None:
    width, height = image.size
    if width * height > limits.max_pixels:
        raise error(
            f"The {name} is {width}x{height} pixels; expected at most {limits.max_pixels} pixels"
            " in all."
        )
    if min(width, height) < limits.min_side:
        raise error(
            f"The {name} is {width}x{height} pixels; expected at least {limits.min_side} a side."
        )
    # Not `n_frames`: counting the pages of a TIFF takes time quadratic in their number. An MPO
    # file, as some cameras write it, is a JPEG followed by previews. A HEIC file may hold a burst;
    # its primary image is used.
    if getattr(image, "is_animated", False) and image.format not in ("MPO", "HEIF"):
        raise error(f"The {name} has several frames or pages; expected a single picture.")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGED:
        return image  # unreadable EXIF data: assume that the image is upright


def _to_srgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode == "F":
        raise InvalidImage(
            f"The {name} holds floating-point values; expected 8 or 16 bits a channel."
        )
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise InvalidImage(f"The {name} has more than 16 bits a channel; expected 8 or 16.")
        return Image.fromarray((values // 257).astype(np.uint8)).convert("RGB")
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, layer).convert("RGB")
    elif image.mode not in ("RGB", "CMYK", "L"):
        image = image.convert("RGB")
    return _apply_profile(image, profile)


def _apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert from the embedded color profile, if there is a usable one, to sRGB."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # damaged, or of another color space: assume that the values are sRGB
    return image.convert("RGB")


def _list(formats: tuple[str, ...]) -> str:
    names = [{"WEBP": "WebP", "HEIF": "HEIC"}.get(name, name) for name in formats]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
