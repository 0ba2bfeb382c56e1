"""Command-line entry points of the benchmarks: options, progress messages, exit codes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from photoreal.cli import FAILED, run_command
from photoreal.serve.launch.settings import DEFAULT_REPOSITORY

LATEST = Path(__file__).parent / "results" / "latest"
HELP = {"help_option_names": ["-h", "--help"]}
"""Context settings of every command."""

_STARTED = time.monotonic()
_Command = TypeVar("_Command", bound=Callable[..., Any])


def output_option(files: str) -> Callable[[_Command], _Command]:
    """The option `--output`: a folder for `files`."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        default=LATEST,
        help=f"Folder for {files}.  [default: benchmarks/results/latest]",
    )


repository_option = click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_REPOSITORY,
    show_default=True,
    help="Model repository, as `photoreal export` fills it.",
)
"""The option `--repository`: the models to measure."""


def make_main(command: click.Command, file: str) -> Callable[..., int]:
    """Return the entry point of a script: it takes `argv` and returns the exit code.

    The code is 0 for success, 1 for a failure, 2 for an invalid call.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        try:
            return run_command(command, Path(file).name, argv)
        except OSError as error:
            click.echo(f"Error: a file cannot be written or read ({error.strerror}).", err=True)
            return FAILED

    return main


def tell(words: str) -> None:
    """Print a progress message on standard error, with the elapsed seconds."""
    click.echo(f"{time.monotonic() - _STARTED:6.0f} s  {words}", err=True)
