"""Access control of a server: API key, management key and TLS for gRPC."""

from __future__ import annotations

import os
import re
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photoreal.client.address import is_loopback
from photoreal.contract import API_KEY_HEADERS, API_KEY_VARIABLE
from photoreal.errors import ServeError

ADMIN_KEY_VARIABLE = "PHOTOREAL_ADMIN_KEY"
"""Environment variable with the key of the management endpoints; a random key if unset."""
MANAGEMENT = ("model-repository", "shared-memory", "trace", "logging")
"""Triton's endpoints that change the server: a model load request may carry code."""

_KEY = re.compile(r"[A-Za-z0-9._~-]{16,}")


@dataclass(frozen=True)
class GrpcTls:
    """PEM files for TLS on the gRPC port; with `client_ca`, clients must present certificates."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def check(self) -> None:
        """Raise ServeError unless the files are readable, and key and certificate match.

        Triton itself would start with files that do not match, and reject every connection.
        """
        for path in (self.certificate, self.key, self.client_ca):
            if path is not None:
                _check_readable(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # Without a password here, OpenSSL would prompt for that of an encrypted key.
            context.load_cert_chain(self.certificate, self.key, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ServeError(
                f"The certificate {self.certificate} and the key {self.key} cannot be used;"
                " expected PEM files that belong together, the key without a password."
            ) from error
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except OSError as error:
                raise ServeError(
                    f"The file {self.client_ca} contains no CA certificate; expected PEM."
                ) from error

    def arguments(self) -> list[str]:
        """The options of tritonserver."""
        files = [
            f"--grpc-server-cert={self.certificate.resolve()}",
            f"--grpc-server-key={self.key.resolve()}",
        ]
        if self.client_ca is None:
            return ["--grpc-use-ssl=true", *files]
        root = f"--grpc-root-cert={self.client_ca.resolve()}"
        return ["--grpc-use-ssl=true", "--grpc-use-ssl-mutual=true", *files, root]


@dataclass(frozen=True)
class Security:
    """Authentication and TLS of a server.

    With an `api_key`, inference requests must carry it. Health and metadata stay open.
    """

    api_key: str | None = field(default=None, repr=False)
    grpc_tls: GrpcTls | None = None

    def check(self) -> None:
        """Raise ServeError when a key or a file cannot be used."""
        if self.api_key is not None:
            _check_key(self.api_key, API_KEY_VARIABLE)
        if self.grpc_tls is not None:
            self.grpc_tls.check()

    def warning(self, host: str) -> str | None:
        """Return a warning if anybody can use a server bound to `host`, else None."""
        if self.api_key is not None or is_loopback(host):
            return None
        return (
            f"Anyone who can reach {host} can use the models; set {API_KEY_VARIABLE} to require an"
            " API key."
        )

    def arguments(self, admin_key: str) -> list[str]:
        """Command-line options of tritonserver; `admin_key` protects the management endpoints."""
        arguments = _restriction(MANAGEMENT, "admin-key", admin_key)
        if self.api_key is not None:
            arguments += _restriction(("inference",), API_KEY_HEADERS["http"], self.api_key)
        return arguments + (self.grpc_tls.arguments() if self.grpc_tls is not None else [])


def admin_key() -> str:
    """Return the management key from the environment, or a random one; raises ServeError."""
    given = os.environ.get(ADMIN_KEY_VARIABLE)
    if not given:
        return secrets.token_hex(16)
    _check_key(given, ADMIN_KEY_VARIABLE)
    return given


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the keys, for processes that do not need them."""
    keys = {ADMIN_KEY_VARIABLE, API_KEY_VARIABLE}
    return {name: value for name, value in environment.items() if name not in keys}


def _restriction(apis: tuple[str, ...], header: str, key: str) -> list[str]:
    rule = f"{','.join(apis)}:{header}={key}"
    return [f"--http-restricted-api={rule}", f"--grpc-restricted-protocol={rule}"]


def _check_key(key: str, variable: str) -> None:
    if not _KEY.fullmatch(key):
        raise ServeError(
            f"{variable} is not a valid key; expected at least 16 characters: letters, digits, '-',"
            " '_', '.' and '~'."
        )


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ServeError(f"The file {path} cannot be read ({error.strerror}).") from error
