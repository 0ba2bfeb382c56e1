"""Health check with a small real request, which finds failures that readiness does not show."""

from __future__ import annotations

import io
import time

from PIL import Image

from photoreal.client.client import StyleTransferClient
from photoreal.contract import CANARY_ID

_SIDE = 16


def send_canary(client: StyleTransferClient) -> float:
    """Stylize a tiny photo with itself, segmentation included; return the time in seconds.

    The server caches nothing from it. On a busy server the request queues like any other.

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
