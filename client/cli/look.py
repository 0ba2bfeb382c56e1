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
from photoreal.client.look import (
    LOOK_OPTIONS,
    Look,
    check_look_file,
    make_look,
)
from photoreal.client.region_looks import REGION_LOOK_OPTIONS, make_region_looks, region_file
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
@click.option(
    "--regions",
    is_flag=True,
    help="Write one table for each region of STYLE, or of --content if given, as OUT-sky.cube and"
    " so on; with the method color.",
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
    regions: bool,
    server: ServerOptions,
    quiet: bool,
    **options: Any,
) -> None:
    """Write the look of the photo STYLE as a table of colors for other programs.

    Lightroom, DaVinci Resolve, ffmpeg and others apply a .cube file. A table treats a color alike
    wherever it is in a photo, so it cannot hold regions; --regions writes one for each of them.
    """
    check_streams([style, *styles, content])
    if regions:
        _check_options(options)
    try:
        check_look_file(output)
        check_folder(output)
        looks = read_styles(style, styles)
        photo = None if content is None else read_file(content, "content")
        title = (style or styles[0]).stem
        made: list[Look]
        with ExitStack() as stack:
            say = stack.enter_context(progress(quiet))
            client = stack.enter_context(server.client(say, notes(quiet), here=True))
            say("Making the look")
            arguments: dict[str, Any] = {"points": points, "title": title, **options}
            if regions:
                made = make_region_looks(client, looks, photo, **arguments)
            else:
                made = [make_look(client, looks, photo, **arguments)]
        for one in made:
            path = region_file(output, one.region) if regions else output
            try:
                one.save(path)
            except OSError as error:
                raise Failed(
                    f"{str(path)!r} cannot be written: {error.strerror or error}."
                ) from None
            if not quiet:
                found = f"{one.psnr:.1f} dB from the photo it is of"
                if regions:
                    found = f"{one.region}, {100 * one.share:.0f} % of its photo"
                click.echo(f"{path}: {points} points a side, {found}.")
    except PhotorealError as error:
        raise failure(error, embedded=server.embedded) from None


def _check_options(options: dict[str, Any]) -> None:
    """Leave the options that apply to the looks of regions; raises click.UsageError for others."""
    if options.pop("method") not in (None, "color"):
        raise click.UsageError("--regions is for the method color, whose tables hold color maps.")
    for name in list(options):
        if name not in REGION_LOOK_OPTIONS and options.pop(name) is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} does not apply with --regions.")
