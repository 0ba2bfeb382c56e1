"""A small real request, which tells whether a server works better than its own word does."""

from __future__ import annotations

import io
import time

from PIL import Image

from photoreal.client.client import StyleTransferClient
from photoreal.contract import CANARY_ID

_SIDE = 16


def send_canary(client: StyleTransferClient) -> float:
    """Stylize a tiny photo with itself, regions and all; returns the seconds it took.

    The server keeps nothing of it. On a busy server it waits in the queue like any request.

    Raises:
        ClientError: as from :meth:`StyleTransferClient.stylize`.
    """
    photo = _photo()
    start = time.monotonic()
    client.stylize(photo, photo, size=_SIDE, request_id=CANARY_ID)
    return time.monotonic() - start


def _photo() -> bytes:
    stream = io.BytesIO()
    Image.linear_gradient("L").resize((_SIDE, _SIDE)).save(stream, format="PNG")
    return stream.getvalue()
