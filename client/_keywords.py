"""Option names in the signatures of the clients' methods, generated from the declarations.

Type checkers and editors get the keywords from the typed dictionaries in
`photoreal.options.arguments`. This module does the same for `help`, `inspect.signature` and
interactive shells, and rejects unknown names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from photoreal.options import Option

F = TypeVar("F", bound=Callable[..., Any])


def spell_out(options: Iterable[Option]) -> Callable[[F], F]:
    """List the options in the signature of a method that takes them as ``**options``."""
    keywords = [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=option.argument_type,
        )
        for option in options
    ]

    def decorate(method: F) -> F:
        signature = inspect.signature(method)
        *own, _ = signature.parameters.values()
        vars(method)["__signature__"] = signature.replace(parameters=[*own, *keywords])
        return method

    return decorate


def check_names(call: str, given: Mapping[str, object], options: Iterable[Option]) -> None:
    """Raise TypeError for an unknown option, as Python does for unknown keyword arguments."""
    known = {option.name for option in options}
    for name in given:
        if name not in known:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")
