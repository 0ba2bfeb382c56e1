"""The command ``photoreal stylize``: reads the command line, calls the client, reports."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from photoreal.client.cli.failures import Failed, failure
from photoreal.client.cli.folder import FolderCall, folder_options, run_folder
from photoreal.client.cli.option_flags import request_options
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.cli.style_options import NumbersCommand, read_styles, style_options
from photoreal.client.cli.terminal import (
    STANDARD,
    check_output,
    check_streams,
    make_folder,
    notes,
    progress,
    read_file,
    summary,
    write_labels,
    write_to_output,
)
from photoreal.client.result import StylizeResult, format_option, output_format
from photoreal.errors import PhotorealError

_PATH = click.Path(path_type=Path)
_EPILOG = """\b
Examples:
  photoreal stylize street.jpg sunset.jpg -o out.png
  photoreal stylize street.jpg sunset.jpg -o out.jpg --alpha 0.7 --size 768
  photoreal stylize street.jpg sunset.jpg -o out.png --embedded
  photoreal stylize street.jpg -o out.png --style sunset.jpg --style rain.jpg --weights 0.3 0.7
  photoreal stylize street.jpg sunset.jpg -o out.jpg --method color
  photoreal stylize - sunset.jpg -o - < street.jpg > out.png
  photoreal stylize --content-dir holiday --style sunset.jpg -o holiday_at_sunset
  photoreal stylize street.jpg sunset.jpg -o out.png --save-labels regions
  photoreal stylize street.jpg sunset.jpg -o out.png --match nearest \\
      --content-mask regions/content_labels.png --style-mask regions/style_labels.png

\b
Exit codes: 0 success; 1 an error of the server, the network, the disk or
a photo of a folder; 2 an invalid call.
"""


@click.command(cls=NumbersCommand, epilog=_EPILOG)
@click.argument("content", type=_PATH, required=False)
@style_options
@click.option(
    "-o",
    "--output",
    type=_PATH,
    required=True,
    metavar="OUT",
    help="Output file; the suffix selects the format (.png, .jpg, .webp, .tif). - is standard"
    " output. With --content-dir, the output folder.",
)
@request_options("command")
@folder_options
@click.option(
    "--content-mask",
    type=_PATH,
    metavar="MASK",
    help="Regions of CONTENT: a PNG of the same size, with one gray value or color per region.",
)
@click.option(
    "--style-mask",
    "style_masks",
    type=_PATH,
    multiple=True,
    metavar="MASK",
    help="Regions of STYLE, with the same labels or colors; one for each of several styles."
    " Give masks of both photos or none.",
)
@click.option(
    "--save-labels",
    type=_PATH,
    metavar="FOLDER",
    help="Folder for the regions, as label maps (usable as masks) and in colors.",
)
@server_options(waits_for="the picture", sits_out="With --content-dir: ")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
@click.pass_context
def stylize(
    context: click.Context,
    /,
    content: Path | None,
    style: Path | None,
    styles: tuple[Path, ...],
    output: Path,
    content_dir: Path | None,
    style_dir: Path | None,
    image_format: str | None,
    overwrite: bool,
    in_flight: int | None,
    content_mask: Path | None,
    style_masks: tuple[Path, ...],
    save_labels: Path | None,
    server: ServerOptions,
    quiet: bool,
    **options: Any,
) -> None:
    """Give the photo CONTENT the colors, light and mood of the photo STYLE.

    The transfer goes region by region: sky from sky, trees from trees. The server finds the
    regions, unless masks for both photos are given. Several styles are mixed.

    With --content-dir, and --style or --style-dir, all photos of a folder are stylized.

    Without --url and --embedded, the server at the usual address does the work, or this process
    where none is ready and the extra "local" is installed. A photo may be - for standard input.
    """
    folder = FolderCall(content_dir, styles, style_dir, output, image_format, overwrite, in_flight)
    masks = (content_mask, *style_masks)
    folder.check(
        content,
        style,
        has_masks=any(masks),
        saves_labels=save_labels is not None,
        weighted=options["weights"] is not None,
    )
    try:
        if folder.is_wanted:
            context.exit(run_folder(folder, options, server, quiet=quiet))
        # Fail early: check everything possible before a server is started or waited for.
        check_streams([content, style, *styles, content_mask, *style_masks])
        if output != STANDARD:
            check_output(output)
        if save_labels is not None:
            make_folder(save_labels)
        target = Path(f"-.{image_format or 'png'}") if output == STANDARD else output
        options["style"] = read_styles(style, styles)
        options["style_mask"] = [read_file(mask, "style mask") for mask in style_masks] or None
        for name, path in {"content": content, "content_mask": content_mask}.items():
            if path is not None:
                options[name] = read_file(path, name.replace("_", " "))
        with ExitStack() as stack:
            say = stack.enter_context(progress(quiet))
            client = stack.enter_context(server.client(say, notes(quiet), here=True))
            say("Stylizing")
            result = client.stylize(
                **options | format_option(target), labels=save_labels is not None
            )
        _write(result, output, target, save_labels)
    except PhotorealError as error:
        raise failure(error, embedded=server.embedded) from None
    if not quiet:
        click.echo(summary(result, output, save_labels), err=output == STANDARD)


def _write(result: StylizeResult, output: Path, target: Path, labels_folder: Path | None) -> None:
    """Write the picture in the format of `target`'s suffix, and the label maps."""
    try:
        if output == STANDARD:
            write_to_output(result.encoded(output_format(target)))
        else:
            result.save(output)
        if labels_folder is not None:
            write_labels(result, labels_folder)
    except OSError as error:
        raise Failed(f"{str(output)!r} cannot be written: {error.strerror or error}.") from None
