"""Server addresses: parsing and checks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from photoreal.client.errors import InvalidInput
from photoreal.contract import GRPC_PORT, HTTP_PORT

Protocol = Literal["http", "grpc"]
PROTOCOLS: tuple[Protocol, ...] = ("http", "grpc")
DEFAULT_HOST = "localhost"
DEFAULT_PORTS: dict[Protocol, int] = {"http": HTTP_PORT, "grpc": GRPC_PORT}
TLS_PORT = 443

# Whether a scheme means TLS, by protocol. gRPC addresses are often written with http://.
_SCHEMES: dict[Protocol, dict[str, bool]] = {
    "http": {"": False, "http": False, "https": True},
    "grpc": {"": False, "grpc": False, "http": False, "grpcs": True, "https": True},
}


@dataclass(frozen=True)
class Address:
    """Address of a server; ``target`` is "host:port", plus a base path for HTTP only."""

    target: str
    protocol: Protocol = "http"
    tls: bool = False

    def __str__(self) -> str:
        return self.target

    @property
    def is_loopback(self) -> bool:
        """Whether the address is a loopback address of this machine, "localhost" included."""
        return is_loopback(urlsplit(f"//{self.target}").hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an IP address without brackets, is a loopback host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def parse_address(url: str | None, protocol: Protocol) -> Address:
    """Parse "host:port" with an optional scheme, trailing slash and, for HTTP, base path.

    The default port is 443 with TLS (https, grpcs), otherwise Triton's: 8000 for HTTP, 8001 for
    gRPC. None means that port on localhost.

    Raises:
        InvalidInput: the protocol is unknown, or the address is not valid for it.
    """
    if protocol not in PROTOCOLS:
        raise InvalidInput(f"protocol is {protocol!r}; expected {' or '.join(PROTOCOLS)}.")
    if url is None:
        url = DEFAULT_HOST
    if not isinstance(url, str):
        raise InvalidInput(f"The server's address is a {type(url).__name__}; expected a str.")
    scheme, separator, rest = url.strip().rpartition("://")
    schemes = _SCHEMES[protocol]
    if separator and (not scheme or scheme.lower() not in schemes):
        known = ", ".join(f"{name}://" for name in schemes if name)
        raise InvalidInput(f"The address {url!r} is not one for {protocol}; expected {known}.")
    tls = schemes[scheme.lower()]
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    path = parts.path.rstrip("/")
    extra = parts.query or parts.fragment or parts.username is not None
    if not host or extra or any(mark.isspace() for mark in rest) or (path and protocol == "grpc"):
        raise InvalidInput(f"The address {url!r} cannot be read; expected host:port.")
    if port is None:
        port = TLS_PORT if tls else DEFAULT_PORTS[protocol]
    if ":" in host:  # IPv6
        host = f"[{host}]"
    return Address(f"{host}:{port}{path}", protocol, tls)
