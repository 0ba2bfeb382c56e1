"""How the benchmarks' commands are called, what they tell meanwhile, and how they end."""

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
"""Settings of every command's context."""

_Command = TypeVar("_Command", bound=Callable[..., Any])


def output_option(files: str, *, required: bool = False) -> Callable[[_Command], _Command]:
    """The option `--output`: a folder for `files`, `LATEST` unless it has to be named."""
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
    """The option `--repository`: the models that are measured."""
    return click.option(
        "--repository",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_REPOSITORY,
        show_default=True,
        help="Model repository, as `photoreal export` fills it.",
    )(command)


def make_main(command: click.Command, file: str) -> Callable[..., int]:
    """The entry point of a benchmark's file: a function that takes arguments as `main` does.

    It takes those of the process unless given, and returns the exit code: 0 done, 1 a failure,
    2 a call that has to be changed.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        try:
            return run_command(command, Path(file).name, argv)
        except OSError as error:
            click.echo(f"Error: a file cannot be written or read ({error.strerror}).", err=True)
            return FAILED

    return main


class Teller:
    """Says on standard error what is done, and after how many seconds."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, words: str) -> None:
        """Say what is done."""
        click.echo(f"{time.monotonic() - self._started:6.0f} s  {words}", err=True)
