"""Results of a request: the picture, the regions that were used, the report."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from photoreal.client._outputs import output_files, parse_report
from photoreal.client.errors import InvalidInput, ServerFailed
from photoreal.errors import InvalidImage
from photoreal.options import DEFAULT_QUALITY, FORMATS
from photoreal.preprocess import Limits, Photo, encode_pixels, read_photo
from photoreal.preprocess.encode import FULL_COLOR
from photoreal.render.pixels import Pixels, in_8_bits

_UNREADABLE = "The server's answer holds a picture that cannot be read."
_NO_LIMITS = Limits(max_bytes=1 << 62, max_pixels=1 << 62, min_side=1)


@dataclass(frozen=True)
class FoundRegions:
    """The regions of the photos, and the style region assigned to each content region.

    The label maps are decoded on first access and cached. A result of ``stylize`` has them with
    ``labels=True`` only; otherwise their files are empty.

    Attributes:
        content_labels_png: the content's label map, as the bytes of a PNG file.
        style_labels_png: the (first) style's label map, as the bytes of a PNG file; empty for a
            preset, which has none.
        report: the server's report. ``regions`` is "masks", "segmenter" or "whole"; ``match`` is
            the matching rule, or "given"; ``pairs`` is a list of {"content", "style", "share",
            "sure"}, where "style" is a list with one name per style if there are several;
            ``unstyled`` are the content regions without a match; ``content_regions`` and
            ``style_regions`` are lists of {"label", "name", "share", "sure"} ("sure" in 0..1 is
            the segmenter's confidence), the latter one list per style if there are several;
            ``height`` and ``width`` are the size of the result in pixels, ``working_height`` and
            ``working_width`` that of the working copy; ``method`` is the method; ``seconds`` are
            the times of "decode", "segment", "colors", "transfer", "upsample" and "encode", as
            far as the method has them, and "total".
        request_id: the id under which the server logged the request.
        more_style_labels_png: the label maps of the second and later styles.
    """

    content_labels_png: bytes = field(repr=False)
    style_labels_png: bytes = field(repr=False)
    report: dict[str, Any]
    request_id: str | None = None
    more_style_labels_png: tuple[bytes, ...] = field(default=(), repr=False)

    @cached_property
    def content_labels(self) -> NDArray[np.uint8]:
        """Labels of the content's regions, uint8 (H, W); usable as ``content_mask``.

        Raises:
            InvalidInput: the label maps were not requested.
            ServerFailed: the server's label map cannot be read.
        """
        return self._labels(self.content_labels_png)

    @cached_property
    def style_labels(self) -> NDArray[np.uint8]:
        """Labels of the style's regions, uint8 (H, W); usable as ``style_mask``.

        The array is (0, 0) for a preset.

        Raises:
            InvalidInput: the label maps were not requested.
            ServerFailed: the server's label map cannot be read.
        """
        return self._labels(self.style_labels_png)

    @cached_property
    def more_style_labels(self) -> list[NDArray[np.uint8]]:
        """Label maps of the second and later styles, each uint8 (H, W).

        Raises:
            InvalidInput: the label maps were not requested.
            ServerFailed: one of the server's label maps cannot be read.
        """
        self._check_requested()
        return [self._labels(data) for data in self.more_style_labels_png]

    def _opened(self, data: bytes, *, whole: bool = False) -> Image.Image:
        try:
            image = Image.open(BytesIO(data))
            if whole:
                image.load()
        except (OSError, ValueError, SyntaxError):  # what Pillow's readers raise
            raise ServerFailed(_UNREADABLE, request_id=self.request_id) from None
        return image

    def _check_requested(self) -> None:
        if not self.content_labels_png:
            raise InvalidInput("The label maps were not requested; expected labels=True.")

    def _labels(self, data: bytes) -> NDArray[np.uint8]:
        self._check_requested()
        if not data:
            return np.zeros((0, 0), dtype=np.uint8)
        labels = np.asarray(self._opened(data, whole=True))
        if labels.ndim != 2 or labels.dtype != np.uint8:
            raise ServerFailed(
                f"The server's label map is {labels.dtype} of shape {labels.shape}; "
                "expected uint8 of shape (H, W).",
                request_id=self.request_id,
            )
        return labels


@dataclass(frozen=True, kw_only=True)
class StylizeResult(FoundRegions):
    """A stylized photo, with the regions that were used and a report of the run.

    Attributes:
        data: the stylized photo, as the bytes of a file in the requested ``format``, with the
            color profile and, unless ``metadata`` was False, the EXIF data of the content photo.
    """

    data: bytes = field(repr=False)

    @cached_property
    def format(self) -> str:
        """The format of ``data``: "png", "jpeg", "webp", "tiff" or "raw".

        Raises:
            ServerFailed: the server's picture cannot be read.
        """
        kind = str(self._opened(self.data).format).lower()
        return "raw" if kind == "ppm" else kind

    @cached_property
    def png(self) -> bytes:
        """The stylized photo, as the bytes of a PNG file: ``data`` if it is PNG.

        Raises:
            ServerFailed: the server's picture cannot be read.
        """
        return self.encoded("PNG")

    @property
    def pixels(self) -> Pixels:
        """The stylized photo as an array (H, W, 3), uint8, or uint16 if it has 16 bits.

        Raises:
            ServerFailed: the server's picture cannot be read.
        """
        return self._photo.pixels

    @cached_property
    def image(self) -> Image.Image:
        """The stylized photo as a Pillow image, of 8 bits a channel.

        Raises:
            ServerFailed: the server's picture cannot be read.
        """
        return self._opened(self.data, whole=True)

    @cached_property
    def _photo(self) -> Photo:
        if self.format == "raw":
            return Photo(np.asarray(self.image))
        try:
            return read_photo(self.data, "picture", _NO_LIMITS)
        except InvalidImage:
            raise ServerFailed(_UNREADABLE, request_id=self.request_id) from None

    def save(self, path: str | os.PathLike[str], *, quality: int | None = None) -> Path:
        """Write the photo to ``path`` atomically, and return the path.

        If the suffix matches ``format``, the file is written as the server encoded it; otherwise
        it is encoded again, with its EXIF data and color profile, and with 16 bits where picture
        and format have them. The folder must exist; an existing file is replaced.

        Args:
            path: where to write; the suffix selects the format.
            quality: quality of lossy formats, 1..100; 95 by default. If given, a picture that is
                in such a format already is encoded again.

        Raises:
            InvalidInput: Pillow cannot write the format, or the path exists and is not a file.
            ServerFailed: the server's picture cannot be read.
            OSError: the file cannot be written.
        """
        target = Path(path)
        write_aside(target, self.encoded(output_format(target), quality=quality))
        return target

    def encoded(self, image_format: str, *, quality: int | None = None) -> bytes:
        """The bytes that :meth:`save` writes; formats have Pillow's names ("PNG", "JPEG").

        Raises:
            ServerFailed: the server's picture cannot be read.
        """
        if self._opened(self.data).format == image_format and (
            quality is None or image_format in ("PNG", "TIFF")
        ):
            return self.data
        photo = self._photo
        if image_format == "PNG":
            return encode_pixels(photo.pixels, "png", photo.metadata)
        if image_format == "TIFF":
            return encode_pixels(photo.pixels, "tiff", photo.metadata)
        height, width = photo.shape
        buffer = BytesIO()
        Image.fromarray(in_8_bits(photo.pixels)).save(
            buffer,
            format=image_format,
            quality=DEFAULT_QUALITY if quality is None else quality,
            **photo.metadata.options(width, height),
            **(FULL_COLOR if image_format == "JPEG" and quality is None else {}),
        )
        return buffer.getvalue()


def parse_outputs(
    outputs: Mapping[str, NDArray[Any]], request_id: str | None, *, labels: bool = True
) -> StylizeResult:
    """Parse the output tensors of ``stylize``, with the label maps or without.

    Raises:
        ServerFailed: an output is missing or violates the contract.
    """
    (data,) = output_files(outputs, "IMAGE", request_id)
    return StylizeResult(data=data, **_regions(outputs, request_id, labels=labels))


def parse_regions(outputs: Mapping[str, NDArray[Any]], request_id: str | None) -> FoundRegions:
    """Parse the output tensors of ``stylize`` except the picture.

    Raises:
        ServerFailed: an output is missing or violates the contract.
    """
    return FoundRegions(**_regions(outputs, request_id))


def _regions(
    outputs: Mapping[str, NDArray[Any]], request_id: str | None, *, labels: bool = True
) -> dict[str, Any]:
    content_labels, style_labels, more = b"", b"", list[bytes]()
    if labels:
        (content_labels,) = output_files(outputs, "CONTENT_LABELS", request_id)
        style_labels, *more = output_files(outputs, "STYLE_LABELS", request_id)
    return {
        "content_labels_png": content_labels,
        "style_labels_png": style_labels,
        "more_style_labels_png": tuple(more),
        "report": parse_report(outputs, request_id),
        "request_id": request_id,
    }


def output_format(path: Path) -> str:
    """Return Pillow's name of the format for the suffix of ``path``.

    Raises:
        InvalidInput: the suffix is unknown, or Pillow cannot write the format.
    """
    image_format = Image.registered_extensions().get(path.suffix.lower())
    if image_format is None or image_format not in Image.SAVE:
        raise InvalidInput(
            f"The name {str(path)!r} does not end in a format that can be written; "
            "expected .png, .jpg, .webp or .tif."
        )
    return image_format


def format_option(path: Path) -> dict[str, str]:
    """Return the option of ``stylize`` for the file ``path``: its format, or PNG to encode here."""
    kind = output_format(path).lower().replace("ppm", "raw")
    return {"format": kind if kind in FORMATS else "png"}


def write_aside(path: Path, data: bytes) -> None:
    """Write ``data`` to a file beside ``path`` and rename it, so that no partial file is visible.

    Raises:
        InvalidInput: the path exists and is not a file.
        OSError: the file cannot be written.
    """
    target = path.resolve()  # keeps a symbolic link
    if target.exists() and not target.is_file():
        raise InvalidInput(f"{str(path)!r} exists and is not a file.")
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        aside.write_bytes(data)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
