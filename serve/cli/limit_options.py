"""The limits as options of `photoreal serve`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from photoreal.errors import ServeError
from photoreal.serve.backend.limits import SETTINGS, settled


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for every limit, and what was given as its argument `limits`.

    That is a dict of environment variables; limits that neither an option nor the environment
    names are not in it. What makes no sense is an error of usage.
    """

    @functools.wraps(command)
    def run(**arguments: Any) -> Any:
        given = {one.variable: arguments.pop(_argument(one.option)) for one in SETTINGS}
        limits = {name: value for name, value in given.items() if value is not None}
        try:
            settled(limits)
        except ServeError as error:
            raise click.UsageError(str(error)) from None
        return command(limits=limits, **arguments)

    for one in reversed(SETTINGS):
        default = f"  [default: {one.default}]"
        option = click.option(
            one.option, envvar=one.variable, metavar=one.unit, help=one.meaning + default
        )
        run = option(run)
    return run


def _argument(option: str) -> str:
    return option.strip("-").replace("-", "_")
