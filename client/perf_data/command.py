"""The command ``photoreal perf-data``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from photoreal.client.cli.failures import Failed, failure
from photoreal.client.cli.option_flags import request_options
from photoreal.client.cli.terminal import check_folder, check_streams, read_file
from photoreal.client.perf_data.requests import perf_data, segmenter_request, stylize_requests
from photoreal.client.result import write_aside
from photoreal.contract import DEFAULT_SIZE, SEGMENTER, STYLIZE
from photoreal.errors import PhotorealError

_PATH = click.Path(path_type=Path)
_EXAMPLES = Path(__file__).parents[1] / "web"
"""Folder of the example photos; the package itself needs the extra "web"."""
_CONTENT, _STYLE = _EXAMPLES / "photos" / "china.jpg", _EXAMPLES / "rendered" / "dusk.jpg"


@click.command("perf-data")
@click.argument("content", type=_PATH, required=False)
@click.argument("style", type=_PATH, required=False)
@click.option(
    "-o", "--output", type=_PATH, required=True, metavar="OUT", help="The file to write: .json."
)
@click.option(
    "--model",
    type=click.Choice([STYLIZE.name, SEGMENTER.name]),
    default=STYLIZE.name,
    show_default=True,
    help="The model that the requests are for. The segmenter takes CONTENT at --size.",
)
@click.option(
    "--requests",
    "count",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of requests, each with a style file that the server has not seen. With one,"
    " the server knows the style from the second time on.",
)
@click.option("--content-mask", type=_PATH, metavar="MASK", help="Regions of CONTENT, as a PNG.")
@click.option("--style-mask", type=_PATH, metavar="MASK", help="Regions of STYLE, as a PNG.")
@request_options("command")
def command(
    content: Path | None,
    style: Path | None,
    output: Path,
    model: str,
    count: int,
    content_mask: Path | None,
    style_mask: Path | None,
    **options: Any,
) -> None:
    """Write requests as a file for perf_analyzer's option --input-data.

    Without photos, two examples that come with photoreal are used.
    """
    given = [name for name, value in options.items() if value is not None and name != "size"]
    if model == SEGMENTER.name and (style or content_mask or style_mask or given or count > 1):
        raise click.UsageError("The segmenter takes one photo and --size; expected nothing else.")
    paths: dict[str, Path | None] = {"content": content or _CONTENT}
    if model == STYLIZE.name:
        paths["style"] = style or _STYLE
        paths |= {"content_mask": content_mask, "style_mask": style_mask}
    check_streams(paths.values())
    try:
        check_folder(output)
        files = {
            name: read_file(path, name.replace("_", " "))
            for name, path in paths.items()
            if path is not None
        }
        if model == SEGMENTER.name:
            requests = [segmenter_request(files["content"], options["size"] or DEFAULT_SIZE)]
        else:
            requests = stylize_requests(files, count, **options)
        data = perf_data(requests).encode()
        try:
            write_aside(output, data)
        except OSError as error:
            raise Failed(f"{str(output)!r} cannot be written: {error.strerror or error}.") from None
    except PhotorealError as error:
        raise failure(error) from None
    shown = "one request" if count == 1 else f"{count} requests"
    click.echo(f"{output}: {shown} to {model}, {len(data) / 1e6:.1f} MB.")
