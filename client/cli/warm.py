"""`photoreal warm`."""

from __future__ import annotations

from pathlib import Path

import click

from photoreal.client.cli.failures import failure
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.warm import Preset, warm_styles
from photoreal.contract import DEFAULT_SIZE
from photoreal.errors import PhotorealError


@click.command()
@click.argument(
    "styles", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="STYLE..."
)
@click.option("--mask", type=click.Path(path_type=Path), help="Mask of the one STYLE.")
@click.option(
    "--size",
    type=int,
    metavar="PIXELS",
    help=f"Shorter side of later results.  [server's default: {DEFAULT_SIZE}]",
)
@server_options(waits_for="one style", embedding="never")
def warm(
    styles: tuple[Path, ...], mask: Path | None, size: int | None, server: ServerOptions
) -> None:
    """Let a running server measure the photos STYLE ahead of their first use.

    The server keeps what it measured in its style cache. It counts for pictures of the same
    size, with regions found in the same way.
    """
    if mask is not None and len(styles) > 1:
        raise click.UsageError("--mask requires a single STYLE.")
    presets = [Preset(style, mask) for style in styles]
    try:
        with server.connect() as client:
            warm_styles(client, presets, click.echo, size=size)
    except PhotorealError as error:
        raise failure(error) from None
