"""Limit options of `photoreal serve`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from photoreal.errors import ServeError
from photoreal.serve.backend.limits import SETTINGS, resolve_limits


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every limit to a command, which receives them as its argument `limits`.

    `limits` is a dict of environment variables, without the limits that neither an option nor the
    environment sets. An invalid value is a usage error.
    """

    @functools.wraps(command)
    def run(**arguments: Any) -> Any:
        given = {one.variable: arguments.pop(_argument(one.option)) for one in SETTINGS}
        limits = {name: value for name, value in given.items() if value is not None}
        try:
            resolve_limits(limits)
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
