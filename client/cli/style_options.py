"""Command-line options for one style, or several with weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from photoreal.client.cli.terminal import read_file
from photoreal.contract import MAX_STYLES

F = TypeVar("F", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)
_WEIGHTS = "--weights"


def _read_numbers(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> list[float] | None:
    """Parse numbers separated by commas."""
    if value is None:
        return None
    try:
        return [float(word) for word in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers.") from None


class NumbersCommand(click.Command):
    """A command whose --weights takes any count of numbers."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join the numbers after --weights, since click's options take a fixed count."""
        joined: list[str] = []
        for word in args:
            inside = len(joined) > 1 and joined[-2] == _WEIGHTS and "--" not in joined[:-2]
            if inside and _is_number(word):
                joined[-1] += f",{word}"
            else:
                joined.append(word)
        return super().parse_args(ctx, joined)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def style_options(command: F) -> F:
    """Add the argument STYLE and the options --style and --weights."""
    named = named_styles("A style, in place of STYLE")(command)
    return click.argument("style", type=_PATH, required=False)(named)


def named_styles(
    meaning: str, kind: click.ParamType[Any] = _PATH, *, required: bool = False
) -> Callable[[F], F]:
    """Add --style, whose values are of the given kind, and --weights."""

    def decorate(command: F) -> F:
        for option in (
            click.option(
                _WEIGHTS,
                callback=_read_numbers,
                metavar="NUMBER...",
                help="Shares of the styles, one for each.  [default: equal]",
            ),
            click.option(
                "--style",
                "styles",
                type=kind,
                multiple=True,
                required=required,
                metavar="PHOTO",
                help=f"{meaning}; up to {MAX_STYLES} are mixed.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def read_styles(style: Path | None, styles: Sequence[Path]) -> list[bytes]:
    """Read the files of the given styles.

    Raises:
        click.UsageError: no style was given, or both STYLE and --style were.
        InvalidInput: a file cannot be read.
    """
    if style is not None and styles:
        raise click.UsageError("Give STYLE or --style, not both.")
    paths = [style] if style is not None else list(styles)
    if not paths:
        raise click.UsageError("Missing argument 'STYLE'.")
    if len(paths) == 1:
        return [read_file(paths[0], "style")]
    return [read_file(path, f"style {number}") for number, path in enumerate(paths, start=1)]
