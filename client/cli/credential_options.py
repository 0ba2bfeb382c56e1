"""Command-line options for client credentials."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from photoreal.contract import API_KEY_VARIABLE

_FILE = click.Path(path_type=Path)


def credential_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; pass their values to the command as arguments of the client.

    The command gets them as one dict, ``credentials``. The API key is read from the environment
    only, since command-line arguments are visible in the process list.
    """

    @click.option(
        "--ca-cert",
        type=_FILE,
        metavar="FILE",
        help="Authority that signed the server's certificate (PEM), for https:// and grpcs://.",
    )
    @click.option(
        "--client-cert", type=_FILE, metavar="FILE", help="One's own certificate (PEM), mutual TLS."
    )
    @click.option("--client-key", type=_FILE, metavar="FILE", help="Key of that certificate (PEM).")
    @functools.wraps(command)
    def with_credentials(
        *arguments: Any,
        ca_cert: Path | None,
        client_cert: Path | None,
        client_key: Path | None,
        **others: Any,
    ) -> Any:
        given = {
            "api_key": os.environ.get(API_KEY_VARIABLE) or None,
            "ca_certificate": ca_cert,
            "client_certificate": client_cert,
            "client_key": client_key,
        }
        credentials = {name: value for name, value in given.items() if value is not None}
        return command(*arguments, credentials=credentials, **others)

    return with_credentials
