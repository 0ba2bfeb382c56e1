"""The options by which commands take a client's credentials."""

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
    """Add the options, and hand their values to the command as the client's arguments.

    The command takes them as one dict, ``credentials``. The API key comes from the
    environment alone: an argument could be read in the list of processes.
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
