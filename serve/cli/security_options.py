"""API key and TLS options of `photoreal serve`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from photoreal.contract import API_KEY_VARIABLE
from photoreal.serve.launch.security import GrpcTls, Security

_FILE = click.Path(path_type=Path)


def security_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which receives them as its argument `security`.

    Keys come from the environment only: command-line arguments stay in the shell's history.
    """

    @click.option(
        "--grpc-tls-cert",
        type=_FILE,
        metavar="FILE",
        help="Certificate for TLS on the gRPC port (PEM).",
    )
    @click.option(
        "--grpc-tls-key",
        type=_FILE,
        metavar="FILE",
        help="Key of that certificate (PEM, without a password).",
    )
    @click.option(
        "--grpc-tls-client-ca",
        type=_FILE,
        metavar="FILE",
        help="CA certificate for mutual TLS: clients must have a certificate signed by it (PEM).",
    )
    @functools.wraps(command)
    def with_security(
        *arguments: Any,
        grpc_tls_cert: Path | None,
        grpc_tls_key: Path | None,
        grpc_tls_client_ca: Path | None,
        **others: Any,
    ) -> Any:
        tls = None
        if grpc_tls_cert is not None and grpc_tls_key is not None:
            tls = GrpcTls(grpc_tls_cert, grpc_tls_key, grpc_tls_client_ca)
        elif grpc_tls_cert or grpc_tls_key or grpc_tls_client_ca:
            raise click.UsageError("TLS for gRPC needs --grpc-tls-cert and --grpc-tls-key.")
        security = Security(os.environ.get(API_KEY_VARIABLE) or None, tls)
        security.check()
        return command(*arguments, security=security, **others)

    return with_security
