"""The command ``photoreal video``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from photoreal.client.address import DEFAULT_HOST, DEFAULT_PORTS, PROTOCOLS, Protocol
from photoreal.client.call import DEFAULT_TIMEOUT
from photoreal.client.client import StyleTransferClient
from photoreal.client.command import _client as open_server
from photoreal.client.command import _failure as failure
from photoreal.client.errors import ClientError
from photoreal.client.style_options import NumbersCommand, read_styles, style_options
from photoreal.client.terminal import check_folder, progress
from photoreal.client.video.run import (
    IN_FLIGHT,
    Progress,
    VideoReport,
    kept_sentence,
    stylize_video,
)
from photoreal.client.video.sink import DEFAULT_CRF, MAX_CRF, container_of
from photoreal.contract import (
    DEFAULT_ALPHA,
    DEFAULT_SIZE,
    DEFAULT_STEADY,
    DEFAULT_TRANSFER_AT,
    MATCH_RULES,
    MAX_STEADY,
)
from photoreal.errors import PhotorealError

_PATH = click.Path(path_type=Path)
_URLS = {protocol: f"{DEFAULT_HOST}:{port}" for protocol, port in DEFAULT_PORTS.items()}


@click.command(cls=NumbersCommand)
@click.argument("video", type=_PATH)
@style_options
@click.option(
    "-o",
    "--output",
    type=_PATH,
    required=True,
    metavar="OUT",
    help="The file to write: .mp4, .mov or .mkv, with H.264.",
)
@click.option(
    "--url", metavar="HOST:PORT", help=f"Where the server is.  [default: {_URLS['http']}]"
)
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="http", show_default=True)
@click.option(
    "--size",
    type=int,
    default=DEFAULT_SIZE,
    show_default=True,
    metavar="PIXELS",
    help="Shorter side of the frames; they are never enlarged.",
)
@click.option(
    "--steady",
    type=click.FloatRange(0, MAX_STEADY),
    default=DEFAULT_STEADY,
    show_default=True,
    help="Share of the frames before in a frame's regions and statistics; 0 for none.",
)
@click.option(
    "--crf",
    type=click.IntRange(0, MAX_CRF),
    default=DEFAULT_CRF,
    show_default=True,
    help="Quality of the H.264: smaller is better and larger.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 64),
    default=IN_FLIGHT,
    show_default=True,
    help="Frames that are sent at once with --steady 0.",
)
@click.option(
    "--alpha",
    type=float,
    help=f"Strength of the transfer, from 0 to 1.  [server's default: {DEFAULT_ALPHA:g}]",
)
@click.option("--no-segment", is_flag=True, help="Take frames and style whole, without regions.")
@click.option("--match", type=click.Choice(MATCH_RULES), help="How regions find partners.")
@click.option("--blend", type=int, metavar="PIXELS", help="How far neighboring regions mix.")
@click.option(
    "--transfer-at",
    metavar="PLACES",
    help=f"Where the features are transformed.  [server's default: {DEFAULT_TRANSFER_AT}]",
)
@click.option(
    "--timeout",
    type=float,
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a frame.",
)
@click.option("--embedded", is_flag=True, help="If no server is ready, start one for this call.")
@click.option("--repository", type=_PATH, metavar="FOLDER", help="Repository of the embedded one.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def video(
    context: click.Context,
    /,
    video: Path,
    style: Path | None,
    styles: tuple[Path, ...],
    output: Path,
    url: str | None,
    protocol: Protocol,
    no_segment: bool,
    timeout: float,
    embedded: bool,
    repository: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Give the film VIDEO the colors, light and mood of the photo STYLE.

    Frame by frame, with regions and statistics steadied from one to the next; a cut begins
    anew. Sound and timing stay. When a run stops early, what was finished is kept beside OUT.
    """
    if repository is not None and not embedded:
        raise click.UsageError("--repository needs --embedded.")
    make: Callable[..., StyleTransferClient] = context.obj or StyleTransferClient

    def connect(address: str | None) -> StyleTransferClient:
        return make(address, protocol=protocol, timeout=timeout)

    if no_segment:
        options["segment"] = False
    try:
        container_of(output)
        check_folder(output)
        looks = read_styles(style, styles)
        with ExitStack() as stack:
            with progress(quiet) as say:
                server = open_server(connect, url, protocol, embedded, repository, say)
                client = stack.enter_context(server)
            shown = stack.enter_context(_frames(quiet))
            report = stylize_video(client, video, looks, output, progress=shown, **options)
    except KeyboardInterrupt as stop:
        kept = stop.args[1] if len(stop.args) > 1 else None
        if kept is not None:
            click.echo(kept_sentence(kept), err=True)
        raise
    except PhotorealError as error:
        raise failure(error, embedded) from None
    except OSError as error:
        reason = error.strerror or error
        raise failure(
            ClientError(f"{str(output)!r} cannot be written: {reason}."), embedded
        ) from None
    for warning in report.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if not quiet:
        click.echo(_summary(report, output))


def _summary(report: VideoReport, output: Path) -> str:
    shots = "1 shot" if report.shots == 1 else f"{report.shots} shots"
    sound = {"none": "no sound", "kept": "sound as it was", "re-encoded": "sound as AAC"}
    return (
        f"{output}: {report.frames} frames of {report.width} x {report.height} pixels, {shots},"
        f" {sound[report.sound]}."
    )


@contextmanager
def _frames(quiet: bool) -> Iterator[Progress]:
    """Show frames done, frames a second and the time left on stderr, if that is a terminal."""
    from rich import progress as bars
    from rich.console import Console
    from rich.text import Text

    class Rate(bars.ProgressColumn):
        def render(self, task: bars.Task) -> Text:
            return Text(f"{task.speed or 0:.2f} frames/s")

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        Rate(),
        bars.TimeRemainingColumn(),
    )
    # The default looks back half a minute, which is a handful of frames on a CPU.
    with bars.Progress(*columns, console=console, transient=True, speed_estimate_period=300) as bar:
        task = bar.add_task("Frames", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
