"""Decode images within limits, resize them to the working size and encode results."""

from photoreal.preprocess.decode import (
    Mask,
    decode_mask,
    decode_photo,
    photo_header,
    photo_size,
    read_photo,
)
from photoreal.preprocess.encode import encode_labels, encode_photo, encode_pixels, to_pixels
from photoreal.preprocess.formats import has_heif, readable_formats
from photoreal.preprocess.limits import MORE_FORMATS, PHOTO_FORMATS, Limits
from photoreal.preprocess.metadata import Metadata
from photoreal.preprocess.photo import Photo
from photoreal.preprocess.resize import (
    as_photo,
    check_sides,
    check_size,
    check_working_size,
    resize_photo,
    resize_pixels,
    working_size,
)

__all__ = [
    "MORE_FORMATS",
    "PHOTO_FORMATS",
    "Limits",
    "Mask",
    "Metadata",
    "Photo",
    "as_photo",
    "check_sides",
    "check_size",
    "check_working_size",
    "decode_mask",
    "decode_photo",
    "encode_labels",
    "encode_photo",
    "encode_pixels",
    "has_heif",
    "photo_header",
    "photo_size",
    "read_photo",
    "readable_formats",
    "resize_photo",
    "resize_pixels",
    "to_pixels",
    "working_size",
]
