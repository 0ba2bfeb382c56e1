"""The command ``photoreal video``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from photoreal.client.cli.failures import Failed, failure
from photoreal.client.cli.option_flags import request_options
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.cli.style_options import NumbersCommand, read_styles, style_options
from photoreal.client.cli.terminal import check_folder, notes, progress
from photoreal.client.patience import Patience
from photoreal.client.video.run import (
    IN_FLIGHT,
    Progress,
    VideoReport,
    kept_sentence,
    stylize_video,
)
from photoreal.client.video.sink import DEFAULT_CRF, MAX_CRF, container_of
from photoreal.errors import PhotorealError
from photoreal.interrupt import interrupted_by_signals
from photoreal.options import DEFAULT_STEADY, MAX_STEADY

_PATH = click.Path(path_type=Path)


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
    "--size",
    type=click.IntRange(min=16),
    metavar="PIXELS",
    help="Shorter side of the frames; they are never enlarged.  [default: the film's own]",
)
@click.option(
    "--steady",
    type=click.FloatRange(0, MAX_STEADY),
    default=DEFAULT_STEADY,
    show_default=True,
    help="Weight of earlier frames in a frame's regions and statistics; 0 disables it.",
)
@click.option(
    "--crf",
    type=click.IntRange(0, MAX_CRF),
    default=DEFAULT_CRF,
    show_default=True,
    help="CRF of H.264: lower values give better quality and larger files.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 64),
    default=IN_FLIGHT,
    show_default=True,
    help="Concurrent requests with --steady 0.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue an interrupted run with the same arguments, whose finished part is next to OUT.",
)
@request_options("video")
@server_options(waits_for="a frame", sits_out="")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
def video(
    video: Path,
    style: Path | None,
    styles: tuple[Path, ...],
    output: Path,
    server: ServerOptions,
    quiet: bool,
    **options: Any,
) -> None:
    """Give the film VIDEO the colors, light and mood of the photo STYLE.

    Frame by frame, with regions and statistics steadied from one to the next within a shot.
    Sound and timing stay. When a run stops early, what was finished is kept beside OUT, and
    --resume goes on from there.
    """
    try:
        container_of(output)
        check_folder(output)
        looks = read_styles(style, styles)
        with ExitStack() as stack:
            stack.enter_context(interrupted_by_signals())
            with progress(quiet) as say:
                client = stack.enter_context(server.client(say, notes(quiet), here=True))
            shown = stack.enter_context(_frames(quiet))
            patience = Patience(client, server.patience, notes(quiet))
            report = stylize_video(patience, video, looks, output, progress=shown, **options)
    except KeyboardInterrupt as stop:
        kept = stop.args[1] if len(stop.args) > 1 else None
        if kept is not None:
            click.echo(kept_sentence(kept), err=True)
        raise
    except PhotorealError as error:
        raise failure(error, embedded=server.embedded) from None
    except OSError as error:
        raise Failed(f"{str(output)!r} cannot be written: {error.strerror or error}.") from None
    for warning in report.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if not quiet:
        click.echo(_summary(report, output))


def _summary(report: VideoReport, output: Path) -> str:
    shots = "1 shot" if report.shots == 1 else f"{report.shots} shots"
    sound = {"none": "no sound", "kept": "original sound", "re-encoded": "sound as AAC"}
    return (
        f"{output}: {report.frames} frames of {report.width} x {report.height} pixels, {shots},"
        f" {sound[report.sound]}."
    )


@contextmanager
def _frames(quiet: bool) -> Iterator[Progress]:
    """Show frames done, frame rate and time left on stderr, if that is a terminal."""
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
    # The default estimates from the last 30 seconds, which is a handful of frames on a CPU.
    with bars.Progress(*columns, console=console, transient=True, speed_estimate_period=300) as bar:
        task = bar.add_task("Frames", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
