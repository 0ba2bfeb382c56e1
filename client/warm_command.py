"""`photoreal warm`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from photoreal.client.address import PROTOCOLS, Protocol
from photoreal.client.client import StyleTransferClient
from photoreal.client.credential_options import credential_options
from photoreal.client.errors import ServerUnavailable
from photoreal.client.warm import Preset, warm_styles
from photoreal.contract import DEFAULT_SIZE


@click.command()
@click.argument(
    "styles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STYLE..."
)
@click.option("--mask", type=click.Path(path_type=Path), help="Mask of the one STYLE.")
@click.option(
    "--size",
    type=int,
    metavar="PIXELS",
    help=f"Shorter side of the pictures to come.  [server's default: {DEFAULT_SIZE}]",
)
@click.option("--url", metavar="HOST:PORT", help="Address of the server.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="http", show_default=True)
@credential_options
def warm(
    styles: tuple[Path, ...],
    mask: Path | None,
    size: int | None,
    url: str | None,
    protocol: Protocol,
    credentials: dict[str, Any],
) -> None:
    """Let a running server measure the photos STYLE ahead of their first use.

    The server keeps what it measured in its style cache. It counts for pictures of the same
    size, with regions found in the same way.
    """
    if mask is not None and len(styles) > 1:
        raise click.UsageError("--mask goes with one STYLE.")
    presets = [Preset(style, mask) for style in styles]
    try:
        with StyleTransferClient(url, protocol=protocol, **credentials) as client:
            warm_styles(client, presets, click.echo, size=size)
    except ServerUnavailable as error:
        raise click.ClickException(f"{error} Start one with `photoreal serve`.") from None
