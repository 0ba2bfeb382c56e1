"""Host names that the gateway answers to, and origins that may send to it.

Any page in a browser can send forms to a server on the same machine. Through DNS rebinding, where
a host name of the attacker resolves to 127.0.0.1, it can also read the responses. The Origin
header reveals the first attack, and the Host header the second, since the name in it is foreign.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from photoreal.client.web.errors import sentence_response


class KnownHosts:
    """Rejects requests to unknown host names (421), and cross-origin ones except GET (403).

    IP addresses, localhost and this machine's own name are known. No other site's page can have
    them.

    Args:
        app: the application.
        hosts: further host names of the gateway, for example behind a proxy.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._known = {"localhost", socket.gethostname().lower(), *map(str.lower, hosts)}
        # A proxy may serve the page under these. Other ports of this machine are other origins.
        self._named = {
            host.lower() for host in hosts if host.lower() != "localhost" and not _is_address(host)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            host, origin = headers.get("host", ""), headers.get("origin")
            if headers.get("sec-fetch-site") == "same-origin":
                origin = None  # set by the browser; without a referrer, Origin may be "null"
            if not self._is_known(host):
                name = _name(host) or host
                words = (
                    f"The gateway does not accept the host name {name[:100]!r}; use its address,"
                    " or start it with --allow-host NAME."
                )
                await sentence_response(421, words)(scope, receive, send)
                return
            if scope["method"] != "GET" and origin is not None and not self._is_own(origin, host):
                words = (
                    "Requests from pages of other sites are rejected; if the page is the gateway's"
                    " own under another name, start it with --allow-host NAME."
                )
                await sentence_response(403, words)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        name = _name(host)
        return name is not None and (name in self._known or _is_address(name))

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether an origin is the gateway's own; a proxy may have replaced the Host header."""
        scheme, _, place = origin.partition("://")
        if scheme not in {"http", "https"}:  # "null", or an extension
            return False
        return place.lower() == host.lower() or _name(place) in self._named


def _name(host: str) -> str | None:
    """Host name or address in a Host header, lower case, without the port; None if invalid."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises ValueError unless it is a number
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
