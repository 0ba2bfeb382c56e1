"""Request options as command-line options."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

from photoreal.options import Option, Where, offered
from photoreal.options.declared import Kind, plain

F = TypeVar("F", bound=Callable[..., Any])


def request_options(where: Where, names: Collection[str] | None = None) -> Callable[[F], F]:
    """Add the options that a command offers, or only those in `names`.

    The command's function gets None for options that are not given.
    """

    def decorate(command: F) -> F:
        for option in reversed(offered(where)):
            if names is not None and option.name not in names:
                continue
            command = _switch(option)(command)
        return command

    return decorate


def _switch(option: Option) -> Callable[[F], F]:
    help_text = f"{plain(option.help)}."
    if option.kind == "flag" and option.default is None:
        return click.option(
            f"{option.switch}/--no-{option.switch.removeprefix('--')}",
            option.name,
            default=None,
            help=f"{help_text}  [server's default: {plain(option.default_text)}]",
        )
    if option.kind == "flag":
        turned_off = option.default and (plain(option.off) or f"Turn off: {help_text}")
        return click.option(
            option.switch,
            option.name,
            is_flag=True,
            callback=lambda context, parameter, given: not option.default if given else None,
            help=turned_off or help_text,
        )
    if option.default_text:
        help_text += f"  [server's default: {plain(option.default_text)}]"
    types: dict[Kind, Any] = {
        "number": float,
        "whole": int,
        "choice": click.Choice(option.choices),
        "words": str,
        "id": str,
    }
    return click.option(
        option.switch,
        option.name,
        type=types[option.kind],
        metavar=option.unit.upper() or None,
        help=help_text,
    )
