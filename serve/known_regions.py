"""Label maps of styles that were segmented before.

The frames of a video come with the same style again and again, and so do presets; finding its
regions takes about as long as finding those of the content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from photoreal.regions import LabelMap
from photoreal.serve.request import FloatImage

MAX_BYTES = 64 << 20


class KnownRegions:
    """Label maps of the photos used last, up to `limit` bytes; for one segmenter."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._maps: OrderedDict[bytes, LabelMap] = OrderedDict()
        self.bytes = 0
        """Bytes of all that is kept."""

    def get(self, photo: FloatImage, find: Callable[[], LabelMap]) -> LabelMap:
        """The label map of a photo (3, H, W) at working size, found anew if need be."""
        digest = hashlib.blake2b(photo.data, digest_size=32)
        digest.update(repr(photo.shape).encode())
        key = digest.digest()
        if key in self._maps:
            self._maps.move_to_end(key)
            return self._maps[key]
        labels = find()
        self._maps[key] = labels
        self.bytes += labels.nbytes
        while self.bytes > self._limit:
            self.bytes -= self._maps.popitem(last=False)[1].nbytes
        return labels
