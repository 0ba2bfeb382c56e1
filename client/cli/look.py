"""The command ``photoreal look``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from photoreal.client.cli.failures import Failed, failure
from photoreal.client.cli.option_flags import request_options
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.cli.style_options import NumbersCommand, read_styles, style_options
from photoreal.client.cli.terminal import check_folder, check_streams, notes, progress, read_file
from photoreal.client.look import LOOK_OPTIONS, check_look_file, make_look
from photoreal.color.cube import FEWEST, MOST, POINTS
from photoreal.errors import PhotorealError

_PATH = click.Path(path_type=Path)


@click.command(cls=NumbersCommand)
@style_options
@click.option(
    "-o",
    "--output",
    type=_PATH,
    required=True,
    metavar="OUT",
    help="Output file: .cube, or .png for a Hald picture.",
)
@click.option(
    "--content",
    type=_PATH,
    metavar="PHOTO",
    help="The photo that the look is for, or a similar one.  [default: colors of typical photos]",
)
@click.option(
    "--points",
    type=click.IntRange(FEWEST, MOST),
    default=POINTS,
    show_default=True,
    help="Points of the table per side.",
)
@request_options("command", LOOK_OPTIONS)
@server_options(waits_for="the photo that the look is made from")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
def look(
    style: Path | None,
    styles: tuple[Path, ...],
    output: Path,
    content: Path | None,
    points: int,
    server: ServerOptions,
    quiet: bool,
    **options: Any,
) -> None:
    """Write the look of the photo STYLE as a table of colors for other programs.

    Lightroom, DaVinci Resolve, ffmpeg and others apply a .cube file; it treats a color alike
    wherever it is in a photo, so it cannot hold regions.
    """
    check_streams([style, *styles, content])
    try:
        check_look_file(output)
        check_folder(output)
        looks = read_styles(style, styles)
        photo = None if content is None else read_file(content, "content")
        with ExitStack() as stack:
            say = stack.enter_context(progress(quiet))
            client = stack.enter_context(server.client(say, notes(quiet), here=True))
            say("Making the look")
            title = (style or styles[0]).stem
            found = make_look(client, looks, photo, points=points, title=title, **options)
        try:
            found.save(output)
        except OSError as error:
            raise Failed(f"{str(output)!r} cannot be written: {error.strerror or error}.") from None
    except PhotorealError as error:
        raise failure(error, embedded=server.embedded) from None
    if not quiet:
        click.echo(
            f"{output}: {points} points a side, {found.psnr:.1f} dB from the photo it is of."
        )
