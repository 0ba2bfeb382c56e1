"""A small real request, which tells whether a server works better than its own word does."""

from __future__ import annotations

import io

from PIL import Image

from photoreal.client import ClientError, StyleTransferClient

_SIDE = 32


def canary(http_url: str, timeout_s: float, api_key: str | None = None) -> bool:
    """Whether a small request through every stage is answered with a picture in time."""
    try:
        timeout_s = max(timeout_s, 0.1)
        with StyleTransferClient(http_url, timeout=timeout_s, retries=0, api_key=api_key) as client:
            photo = _photo()
            return client.ready() and client.stylize(photo, photo, size=_SIDE).png != b""
    except ClientError:
        return False


def _photo() -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((_SIDE, _SIDE)).save(stream, format="PNG")
    return stream.getvalue()
