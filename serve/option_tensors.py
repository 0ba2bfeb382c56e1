"""Reading the options of a request from its tensors, as they are declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from photoreal.options import STYLIZE_OPTIONS, Option
from photoreal.serve.adapter import Array, blob, text


def read_options(
    tensors: Mapping[str, Array], options: Iterable[Option] = STYLIZE_OPTIONS
) -> dict[str, Any]:
    """The options that are among the tensors, by name; raises InvalidRequest for no UTF-8."""
    return {
        option.name: _value(option, tensors[option.tensor])
        for option in options
        if option.tensor in tensors
    }


def _value(option: Option, tensor: Array) -> Any:
    if option.dims != (1,):
        return tensor.tolist()
    if option.kind == "id":
        return blob(tensor)
    return text(tensor) if option.dtype == "BYTES" else tensor.item()
