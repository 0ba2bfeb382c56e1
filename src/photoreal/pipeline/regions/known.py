"""LRU cache of style regions.

Video frames and presets reuse the same style many times, and finding its regions takes about as
long as finding those of the content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol, TypeVar

from photoreal.pipeline.request import FloatImage

MAX_BYTES = 64 << 20


class Sized(Protocol):
    """An object that reports its size in bytes, such as a label map or soft regions."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""


R = TypeVar("R", bound=Sized)


def photo_key(data: bytes | memoryview, *details: object) -> bytes:
    """Cache key of a photo: its file or pixels, and the details on which its regions depend."""
    digest = hashlib.blake2b(data, digest_size=32)
    digest.update(repr(details).encode())
    return digest.digest()


class KnownRegions:
    """Regions of the most recently used photos, up to `limit` bytes; for one segmenter.

    Thread-safe.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._lock = Lock()
        self._maps: OrderedDict[bytes, Any] = OrderedDict()
        self.bytes = 0
        """Total size of the cached regions in bytes."""

    def get(self, photo: FloatImage, find: Callable[[], R], kind: str) -> R:
        """Return the regions of a photo (3, H, W) at working size; on a miss, call `find`.

        `kind` is part of the cache key and separates regions found by different methods.
        """
        return self.get_by_key(photo_key(photo.data, kind, photo.shape), find)

    def get_by_key(self, key: bytes, find: Callable[[], R]) -> R:
        """Return the regions of the photo with this key (`photo_key`); on a miss, call `find`."""
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
                found: R = self._maps[key]
                return found
        labels = find()
        with self._lock:
            if key not in self._maps:  # another thread may have found the same
                self._maps[key] = labels
                self.bytes += labels.nbytes
            while self.bytes > self._limit:
                self.bytes -= self._maps.popitem(last=False)[1].nbytes
        return labels


def cached(known: KnownRegions | None, key: bytes | None, find: Callable[[], R]) -> R:
    """What `find` returns, from the cache where there is one and a key."""
    return find() if known is None or key is None else known.get_by_key(key, find)
