"""`photoreal preset` and `photoreal warm`: styles measured ahead, to a file or in a server."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from photoreal.client.cli.failures import Failed, failure
from photoreal.client.cli.option_flags import request_options
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.cli.terminal import check_folder, check_streams, notes, progress, read_file
from photoreal.client.style import check_preset_file
from photoreal.client.warm import Preset, warm_styles
from photoreal.contract import DEFAULT_SIZE
from photoreal.errors import PhotorealError
from photoreal.options import offered

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("style", type=_PATH)
@click.option(
    "-o",
    "--output",
    type=_PATH,
    required=True,
    metavar="OUT",
    help="The file to write: .safetensors.",
)
@click.option(
    "--mask",
    type=_PATH,
    metavar="MASK",
    help="Regions of STYLE, for use with masks of other photos in the same labels or colors.",
)
@request_options("command", [option.name for option in offered("regions")])
@server_options(waits_for="the measures")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def preset(
    style: Path,
    output: Path,
    mask: Path | None,
    server: ServerOptions,
    quiet: bool,
    **options: Any,
) -> None:
    """Measure the photo STYLE, and write a file that takes its place.

    The file holds the statistics of the regions of STYLE, and no pixels. Commands, library and
    server take it wherever they take a style photo.
    """
    check_streams([style, mask])
    try:
        check_preset_file(output)
        check_folder(output)
        photo = read_file(style, "style")
        regions = None if mask is None else read_file(mask, "style mask")
        with ExitStack() as stack:
            say = stack.enter_context(progress(quiet))
            client = stack.enter_context(server.client(say, notes(quiet), here=True))
            say("Measuring the style")
            found = client.style(photo, regions, **options)
        try:
            found.save(output)
        except OSError as error:
            raise Failed(f"{str(output)!r} cannot be written: {error.strerror or error}.") from None
    except PhotorealError as error:
        raise failure(error, embedded=server.embedded) from None
    if not quiet:
        names = ", ".join(str(region["name"]) for region in found.regions)
        click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB, {names}.")


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
