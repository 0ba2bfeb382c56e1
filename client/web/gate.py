"""What stands before the application: how many requests, how many bytes, which headers."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photoreal.client.web.errors import RETRY_LATER, sentence_response
from photoreal.client.web.settings import GatewaySettings, in_mebibytes

_HEADERS = {
    # The page consists of files of its own; nothing inline, nothing from elsewhere.
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
"""Without it the rest of the body would be read, only to be thrown away."""


class SecureHeaders:
    """Sets the headers that keep a browser to this page, unless a response has its own."""

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
    """Refuses uploads that are too many or too large, before they are read.

    A declared length counts at once; bytes are counted nevertheless, since a length may be
    absent or a lie.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._settings = settings
        self._present = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._settings.max_body_bytes:
            await sentence_response(413, self._too_large(), _HANG_UP)(scope, receive, send)
            return
        if self._present >= self._settings.max_requests:
            words = _busy(self._present)
            await sentence_response(503, words, RETRY_LATER)(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._settings.max_body_bytes:
                raise HTTPException(413, self._too_large(), _HANG_UP)
            return message

        self._present += 1
        try:
            await self._app(scope, count, send)
        finally:
            self._present -= 1

    def _too_large(self) -> str:
        return (
            f"The upload is larger than {in_mebibytes(self._settings.max_body_bytes)};"
            f" expected files of at most {in_mebibytes(self._settings.max_file_bytes)} each."
        )


def _busy(count: int) -> str:
    subject = "1 request is" if count == 1 else f"{count} requests are"
    return f"{subject} being served or waiting, which is all that are allowed; try again later."
