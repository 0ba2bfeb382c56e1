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

_Command = TypeVar("_Command", bound=Callable[..., Any])


def output_option(files: str, *, required: bool = False) -> Callable[[_Command], _Command]:
    """The option `--output`: a folder for `files`, by default `LATEST` unless `required`."""
    default: dict[str, Any] = {"required": True} if required else {"default": LATEST}
    shown = "" if required else "  [default: benchmarks/results/latest]"
    return click.option(
        "-o",
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="FOLDER",
        help=f"Folder for {files}.{shown}",
        **default,
    )


def repository_option(command: _Command) -> _Command:
    """The option `--repository`: the models to measure."""
    return click.option(
        "--repository",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_REPOSITORY,
        show_default=True,
        help="Model repository, as `photoreal export` fills it.",
    )(command)


def make_main(command: click.Command, file: str) -> Callable[..., int]:
    """Return the entry point of a benchmark script: a function that is called like `main`.

    Its arguments are those of the process by default. It returns the exit code: 0 for success,
    1 for a failure, 2 for an invalid call.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        try:
            return run_command(command, Path(file).name, argv)
        except OSError as error:
            click.echo(f"Error: a file cannot be written or read ({error.strerror}).", err=True)
            return FAILED

    return main


class Teller:
    """Prints progress messages on standard error, with the elapsed seconds."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, words: str) -> None:
        """Print a message."""
        click.echo(f"{time.monotonic() - self._started:6.0f} s  {words}", err=True)
