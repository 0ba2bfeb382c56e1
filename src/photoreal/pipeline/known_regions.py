"""Regions of styles that were found before.

The frames of a video come with the same style again and again, and so do presets; finding its
regions takes about as long as finding those of the content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from photoreal.pipeline.request import FloatImage

MAX_BYTES = 64 << 20


class Sized(Protocol):
    """Something that knows the bytes it takes: a label map, soft regions."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes."""


R = TypeVar("R", bound=Sized)


class KnownRegions:
    """Regions of the photos used last, up to `limit` bytes; for one segmenter."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._maps: OrderedDict[bytes, Any] = OrderedDict()
        self.bytes = 0
        """Bytes of all that is kept."""

    def get(self, photo: FloatImage, find: Callable[[], R], kind: str = "soft") -> R:
        """The regions of a photo (3, H, W) at working size, found if they are not known.

        `kind` tells regions apart that are found in other ways.
        """
        digest = hashlib.blake2b(photo.data, digest_size=32)
        digest.update(repr((kind, photo.shape)).encode())
        key = digest.digest()
        if key in self._maps:
            self._maps.move_to_end(key)
            found: R = self._maps[key]
            return found
        labels = find()
        self._maps[key] = labels
        self.bytes += labels.nbytes
        while self.bytes > self._limit:
            self.bytes -= self._maps.popitem(last=False)[1].nbytes
        return labels
