"""Folder mode of ``photoreal stylize``: options, progress and summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from photoreal.client.cli.failures import failure
from photoreal.client.cli.server_options import ServerOptions
from photoreal.client.cli.terminal import STANDARD, make_folder, notes
from photoreal.client.errors import InvalidInput
from photoreal.client.folder.manifest import Manifest
from photoreal.client.folder.plan import Job, Plan, plan_folder
from photoreal.client.folder.run import IN_FLIGHT, FolderRun, PhotoOutcome, recipe

FORMATS = ("png", "jpg", "webp", "tif")
_ESTIMATE_S = 600.0  # a photo may take a minute, and the estimate needs several of them
FAILED = 1
INTERRUPTED = 130

_PATH = click.Path(path_type=Path)
_F = TypeVar("_F", bound=Callable[..., Any])


def folder_options(command: _F) -> _F:
    """Add the folder options to a command."""
    options = (
        click.option(
            "--content-dir",
            type=_PATH,
            metavar="FOLDER",
            help="Stylize every photo in FOLDER; finished photos are skipped.",
        ),
        click.option(
            "--style-dir",
            type=_PATH,
            metavar="FOLDER",
            help="With --content-dir: a style for each photo, of the same name.",
        ),
        click.option(
            "--format",
            "image_format",
            type=click.Choice(FORMATS),
            help="With --content-dir or -o -: the format.  [default: each photo's own, or png]",
        ),
        click.option(
            "--overwrite",
            is_flag=True,
            help="With --content-dir: redo finished photos.",
        ),
        click.option(
            "--in-flight",
            type=click.IntRange(1, 16),
            metavar="N",
            help=f"With --content-dir: concurrent requests.  [default: {IN_FLIGHT}]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class FolderCall:
    """The folder options as given on the command line."""

    contents: Path | None
    styles: tuple[Path, ...]
    style_dir: Path | None
    output: Path
    image_format: str | None
    overwrite: bool
    in_flight: int | None

    @property
    def is_wanted(self) -> bool:
        """Whether to stylize a folder rather than one photo."""
        return self.contents is not None

    def check(
        self,
        content: Path | None,
        style: Path | None,
        *,
        has_masks: bool,
        saves_labels: bool,
        weighted: bool,
    ) -> None:
        """Check the folder options against the other arguments.

        Raises:
            click.UsageError: the combination is invalid.
        """
        own = {
            "--style-dir": self.style_dir,
            "--format": self.image_format,
            "--overwrite": self.overwrite or None,
            "--in-flight": self.in_flight,
        }
        if not self.is_wanted:
            if self.output == STANDARD:
                del own["--format"]
            given = [name for name, value in own.items() if value is not None]
            if given:
                raise click.UsageError(f"{given[0]} requires --content-dir.")
            if content is None or (style is None and not self.styles):
                raise click.UsageError("Give the photos CONTENT and STYLE, or use --content-dir.")
            return
        if content is not None or style is not None:
            raise click.UsageError(
                "--content-dir replaces CONTENT and STYLE; give the style with --style."
            )
        if bool(self.styles) == (self.style_dir is not None):
            raise click.UsageError("--content-dir requires either --style or --style-dir.")
        if len(self.styles) > 1 or weighted:
            raise click.UsageError("Several styles can be mixed for one photo, not for a folder.")
        if has_masks or saves_labels:
            raise click.UsageError("Masks and --save-labels are for one photo, not for a folder.")

    def plan(self) -> Plan:
        """Plan the photos and their output files; raises InvalidInput."""
        contents, style = self.contents, self.style_dir or self.styles[0]
        assert contents is not None  # noqa: S101 (ensured by check)
        if style.is_dir() != (self.style_dir is not None):
            kinds = ("folder", "file") if self.styles else ("file", "folder")
            if style.exists():
                raise InvalidInput(
                    f"The style {str(style)!r} is a {kinds[0]}; expected a {kinds[1]}."
                )
        suffix = None if self.image_format is None else f".{self.image_format}"
        return plan_folder(contents, style, self.output, suffix)


def run_folder(
    call: FolderCall,
    options: Mapping[str, Any],
    server: ServerOptions,
    *,
    quiet: bool,
) -> int:
    """Stylize a folder, print the outcome and return the exit code.

    Args:
        call: the folder options.
        options: arguments of ``stylize`` except the photos.
        server: the server options; the server is contacted only if there is work to do.
        quiet: whether to print failures only.

    Raises:
        PhotorealError: the run could not start.
    """
    plan = call.plan()
    make_folder(call.output)
    try:
        manifest = Manifest(call.output)
    except OSError as error:
        raise InvalidInput(f"{error.filename!r} cannot be read: {error.strerror}.") from None
    jobs = [job for job in plan.jobs if call.overwrite or not _finished(job, options, manifest)]
    outcome, interrupted = PhotoOutcome(), False
    if jobs:
        with (
            server.client(lambda words: None, notes(quiet), here=True) as client,
            photos_bar(quiet) as bar,
        ):
            task = bar.add_task("", total=len(jobs))
            run = FolderRun(
                client,
                options,
                manifest,
                tell=lambda name: bar.update(task, description=name),
                advance=lambda: bar.advance(task),
                patience=server.patience,
                say=lambda words: None if quiet else _tell(bar, words),
            )
            run.start(jobs, call.in_flight or IN_FLIGHT)
            try:
                outcome = run.wait()
            except KeyboardInterrupt:
                interrupted = True
                bar.update(
                    task,
                    description="Finishing the requests in flight; press Ctrl-C again to abort",
                )
                outcome = run.finish_early()
    left = len(jobs) - outcome.done - len(outcome.failed)
    for name, reason in sorted(outcome.failed.items()):
        click.echo(f"Failed: {name}: {failure(reason, embedded=server.embedded)}", err=True)
    if outcome.stopped is not None:
        failure(outcome.stopped, embedded=server.embedded).show()
    if not quiet:
        before = len(plan.jobs) - len(jobs)
        click.echo(count_sentence(call.output, outcome, before, left, plan.ignored))
    if interrupted:
        return INTERRUPTED
    return FAILED if left or outcome.failed else 0


def _finished(job: Job, options: Mapping[str, Any], manifest: Manifest) -> bool:
    try:
        return manifest.is_finished(job.output, recipe(job, options))
    except InvalidInput:
        return False  # the run reports it


def count_sentence(
    output: object, outcome: PhotoOutcome, before: int, left: int, ignored: int
) -> str:
    """Say how many photos are done, were finished before, failed and are left."""
    parts = [f"{outcome.done} done"]
    if before:
        parts.append(f"{before} already finished")
    if outcome.failed:
        parts.append(f"{len(outcome.failed)} failed")
    if left:
        parts.append(f"{left} not started; repeat the command to continue")
    total = outcome.done + len(outcome.failed) + before + left
    line = f"{output}: {total} photos, {', '.join(parts)}."
    if ignored:
        line += f" Ignored {ignored} other {'file' if ignored == 1 else 'files'}."
    return line


def _tell(bar: Progress, words: str) -> None:
    """Print a line above the progress bar, without markup or wrapping."""
    bar.console.print(words, markup=False, highlight=False, soft_wrap=True)


def photos_bar(quiet: bool) -> AbstractContextManager[Progress]:
    """Return a progress bar with the time left on stderr, if that is a terminal, unless quiet."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(
        *columns,
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
        speed_estimate_period=_ESTIMATE_S,
    )
