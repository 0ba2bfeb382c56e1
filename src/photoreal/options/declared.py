"""Declaration of options: tensor, values, help text and the interfaces that offer them.

Fields of `StylizeOptions` are created with the functions below, one for each kind of value. Help
texts put other options and literal values in backticks, which are removed in plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from photoreal.options.checks import (
    Check,
    either,
    id_up_to,
    number_between,
    one_of,
    one_whole_of,
    some_of,
    whole_between,
)

DType = Literal["FP32", "INT32", "BOOL", "BYTES"]
Kind = Literal["number", "whole", "flag", "choice", "words", "id", "numbers", "pairs"]

Where = Literal["command", "video", "form", "regions"]
"""Interfaces that offer an option, in addition to the clients and the protocol.

`command`: `photoreal stylize`, for photos and folders. `video`: `photoreal video`. `form`: the
gateway's form for pictures. `regions`: the clients' `find_regions`, and the gateway's form for it.
"""
USUAL: tuple[Where, ...] = ("command", "video", "form")

_OPTION = "option"


@dataclass(frozen=True)
class Option:
    """One option of a request.

    `dims` is the tensor's shape. `default` is the server's default; None means that it depends on
    the rest of the request, as described by `default_words`. `more` holds details for the
    reference only, `off` is the help of the switch that turns a flag off. `offered` lists the
    interfaces that offer the option, `transfer` is true if `wct2` takes it as well.
    """

    kind: Kind
    dtype: DType
    help: str
    default: Any
    dims: tuple[int, ...] = (1,)
    default_words: str = ""
    more: str = ""
    off: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    check: Check | None = None
    tensor_name: str = ""
    offered: tuple[Where, ...] = USUAL
    transfer: bool = False
    name: str = ""
    annotation: str = ""

    @property
    def tensor(self) -> str:
        """Name of the option's input tensor."""
        return self.tensor_name or self.name.upper()

    @property
    def switch(self) -> str:
        """Command-line switch; for a flag that is on by default, the switch that turns it off."""
        words = self.name.replace("_", "-")
        return f"--no-{words}" if self.kind == "flag" and self.default else f"--{words}"

    @property
    def argument_type(self) -> str:
        """Type of the keyword argument as source text: the field's type, or None."""
        text = self.annotation
        return text if text.endswith("| None") else f"{text} | None"

    @property
    def default_text(self) -> str:
        """Description of the default, "" if there is none."""
        if self.default_words or self.default is None:
            return self.default_words
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, str):
            return f"`{self.default}`"
        return f"{self.default:g}"

    @property
    def meaning(self) -> str:
        """Full description in Markdown, without a final period."""
        text = self.help + (f"; default {self.default_text}" if self.default_text else "")
        return f"{text}. {self.more}" if self.more else text


def plain(text: str) -> str:
    """Remove the backticks from a help text."""
    return text.replace("`", "")


def number(default: float | None, help: str, low: float, high: float, **rest: Any) -> Any:  # noqa: A002
    """Declare a number from `low` to `high`."""
    text = f"{help}, {low:g} to {high:g}"
    check = number_between(low, high)
    return _option(Option("number", "FP32", text, default, check=check, **rest))


def whole(
    default: int | None,
    help: str,  # noqa: A002
    low: int,
    high: int,
    *,
    unit: str = "",
    by_server: bool = False,
    **rest: Any,
) -> Any:
    """Declare an integer from `low` to `high`, in `unit`.

    With `by_server` the bounds are a server's defaults, so the server checks its own limits
    instead.
    """
    text = f"{help}, {low} to {high}"
    check = None if by_server else whole_between(low, high, unit)
    return _option(Option("whole", "INT32", text, default, unit=unit, check=check, **rest))


def whole_of(
    default: int | None,
    choices: Sequence[int],
    help: str,  # noqa: A002
    **rest: Any,
) -> Any:
    """Declare one of several integers."""
    text = f"{help}, {either([str(one) for one in choices])}"
    return _option(Option("whole", "INT32", text, default, check=one_whole_of(choices), **rest))


def flag(default: bool | None, help: str, *, off: str = "", **rest: Any) -> Any:  # noqa: A002
    """Declare a boolean; `off` is the help of the switch that turns off a flag on by default.

    If the default depends on the rest of the request (None), there are switches for both values.
    """
    return _option(Option("flag", "BOOL", help, default, off=off, **rest))


def choice(default: str | None, choices: Sequence[str], help: str, **rest: Any) -> Any:  # noqa: A002
    """Declare an option with one of several choices."""
    text = f"{help}, {either([f'`{word}`' for word in choices])}"
    check = one_of(choices)
    return _option(
        Option("choice", "BYTES", text, default, choices=tuple(choices), check=check, **rest)
    )


def words(default: str | None, choices: Sequence[str], help: str, **rest: Any) -> Any:  # noqa: A002
    """Declare an option with one or more choices, sent comma-separated."""
    text = f"{help}, some of `{','.join(choices)}`"
    check = some_of(choices)
    return _option(
        Option("words", "BYTES", text, default, choices=tuple(choices), check=check, **rest)
    )


def identifier(help: str, longest: int, **rest: Any) -> Any:  # noqa: A002
    """Declare an id chosen by the caller, of up to `longest` bytes."""
    text = f"{help}, up to {longest} bytes"
    return _option(Option("id", "BYTES", text, None, check=id_up_to(longest), **rest))


def numbers(help: str, **rest: Any) -> Any:  # noqa: A002
    """Declare a list of numbers; its length is checked where it is used."""
    return _option(Option("numbers", "FP32", help, None, dims=(-1,), **rest))


def label_pairs(help: str, **rest: Any) -> Any:  # noqa: A002
    """Declare rows of a content label and a style label (None or -1: the whole style photo)."""
    return _option(Option("pairs", "INT32", help, None, dims=(-1, 2), **rest))


def _option(option: Option) -> Any:
    return field(default=option.default, metadata={_OPTION: option})


def options_of(declaring: type) -> tuple[Option, ...]:
    """Collect the options declared by a dataclass, in order."""
    return tuple(
        replace(one.metadata[_OPTION], name=one.name, annotation=str(one.type))
        for one in fields(declaring)
        if _OPTION in one.metadata
    )
