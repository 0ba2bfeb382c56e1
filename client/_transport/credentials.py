"""Client credentials: API key, client certificate, trusted CA."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from photoreal.client.address import Address, Protocol
from photoreal.client.errors import InvalidInput
from photoreal.contract import API_KEY_HEADERS

FilePath = str | os.PathLike[str]


@dataclass(frozen=True)
class Credentials:
    """API key and TLS certificates; all files are PEM.

    Args:
        api_key: the server's API key, if it requires one.
        ca_certificate: file of the authority that signed the server's certificate; by default
            the authorities that the system trusts.
        client_certificate: file of the client's own certificate, for mutual TLS.
        client_key: file of that certificate's key.
    """

    api_key: str | None = field(default=None, repr=False)
    ca_certificate: FilePath | None = None
    client_certificate: FilePath | None = None
    client_key: FilePath | None = None

    def check(self, address: Address) -> None:
        """Raise InvalidInput if the key cannot be a header's value or a certificate is unusable."""
        key = self.api_key
        if key is not None:
            if not isinstance(key, str):
                raise InvalidInput(f"api_key is a {type(key).__name__}; expected a str.")
            if not key or not all("!" <= character <= "~" for character in key):
                raise InvalidInput(
                    "The API key is empty or has characters other than visible ASCII."
                )
        if (self.client_certificate is None) != (self.client_key is None):
            raise InvalidInput("A client certificate needs its key, and a key its certificate.")
        given = self.ca_certificate or self.client_certificate
        if given is None:
            return
        if not address.tls:
            scheme = "grpcs" if address.protocol == "grpc" else "https"
            raise InvalidInput(f"Certificates need TLS; expected an address with {scheme}://.")
        self.tls_context(ssl.create_default_context)

    def headers(self, protocol: Protocol) -> dict[str, str]:
        """The headers of one request; tritonclient adds its own."""
        return {} if self.api_key is None else {API_KEY_HEADERS[protocol]: self.api_key}

    def tls_context(self, create: Callable[..., Any], cafile: str | None = None) -> Any:
        """Return a TLS context made by `create`, such as ``ssl.create_default_context``.

        `cafile` holds the authorities trusted by default. Raises InvalidInput.
        """
        authority = os.fspath(self.ca_certificate) if self.ca_certificate is not None else cafile
        try:
            context = create(cafile=authority)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise _unusable("CA certificate", authority, error) from None
        if self.client_certificate is not None and self.client_key is not None:
            try:
                # Without a password, an encrypted key would prompt for it at the terminal.
                context.load_cert_chain(self.client_certificate, self.client_key, password="")
            except (OSError, ValueError) as error:
                raise _unusable("client certificate", self.client_certificate, error) from None
        return context


def _unusable(name: str, path: FilePath | None, error: Exception) -> InvalidInput:
    if isinstance(error, FileNotFoundError):
        return InvalidInput(f"The {name} {str(path)!r} or its key does not exist.")
    if isinstance(error, PermissionError):
        return InvalidInput(f"The {name} {str(path)!r} or its key cannot be read.")
    return InvalidInput(
        f"The {name} {str(path)!r} cannot be used; expected PEM files that belong together,"
        " the key without a password."
    )
