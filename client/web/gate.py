"""Middleware of the application: request limits, upload limits, security headers."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photoreal.client.web.errors import RETRY_LATER, sentence_response
from photoreal.client.web.settings import GatewaySettings, in_mebibytes

_HEADERS = {
    # The page uses only its own files: nothing inline, nothing from other sites.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_HANG_UP = {"Connection": "close"}
"""Without it, the rest of the body would be read and discarded."""


class SecureHeaders:
    """Sets the headers that confine a browser to this page, unless a response has its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


class UploadGate:
    """Rejects excess and oversized uploads before they are read, and slow ones.

    A declared length is checked at once; the bytes are counted as well, since the length may be
    missing or wrong. A request takes a slot when its body is complete, so that a slow or stalled
    upload does not block others.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._settings = settings
        self._uploads = self._present = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._settings.max_body_bytes:
            await sentence_response(413, self._too_large(), _HANG_UP)(scope, receive, send)
            return
        if self._present >= self._settings.max_requests or (
            self._uploads >= self._settings.max_uploads
        ):
            await sentence_response(503, self._busy(), RETRY_LATER)(scope, receive, send)
            return
        self._uploads += 1
        uploading, present = True, False
        start, received = time.monotonic(), 0

        async def count() -> Message:
            nonlocal uploading, present, received
            if not uploading:  # the application is waiting for a disconnect
                return await receive()
            message = await self._in_time(receive, start, received)
            received += len(message.get("body", b""))
            if received > self._settings.max_body_bytes:
                raise HTTPException(413, self._too_large(), _HANG_UP)
            if not message.get("more_body", False):
                uploading = False
                self._uploads -= 1
                if self._present >= self._settings.max_requests:
                    raise HTTPException(503, self._busy(), dict(RETRY_LATER))
                present = True
                self._present += 1
            return message

        try:
            await self._app(scope, count, send)
        finally:
            self._uploads -= uploading
            self._present -= present

    async def _in_time(self, receive: Receive, start: float, received: int) -> Message:
        """Receive the next part of a body; raises HTTPException if the upload is too slow."""
        idle = self._settings.idle_s
        deadline = start + idle + received / self._settings.min_bytes_per_s
        try:
            return await asyncio.wait_for(receive(), min(idle, deadline - time.monotonic()))
        except TimeoutError:
            rate = self._settings.min_bytes_per_s // 1024
            raise HTTPException(
                408,
                f"The upload stalled or was slower than {rate} KiB/s; send it again.",
                _HANG_UP,
            ) from None

    def _busy(self) -> str:
        limit = self._settings.max_requests
        requests = "request" if limit == 1 else "requests"
        return f"The gateway is at its limit of {limit} concurrent {requests}; try again later."

    def _too_large(self) -> str:
        return (
            f"The upload is larger than {in_mebibytes(self._settings.max_body_bytes)};"
            f" expected files of at most {in_mebibytes(self._settings.max_file_bytes)} each."
        )
