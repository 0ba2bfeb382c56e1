"""Tensors of the models as numpy arrays: texts and bytes, and the options of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal.errors import InvalidRequest
from photoreal.options import STYLIZE_OPTIONS, Option

Array = npt.NDArray[Any]


def text(value: Array) -> str:
    """The text in a BYTES tensor [1]; raises InvalidRequest when it is no UTF-8."""
    try:
        return blob(value).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("A text input is not valid UTF-8; expected plain words.") from None


def blob(value: Array) -> bytes:
    """The bytes in a BYTES tensor [1]."""
    return bytes(value.item())


def blobs(value: Array) -> list[bytes]:
    """The bytes in a BYTES tensor [n]."""
    return [bytes(one) for one in value]


def bytes_tensor(data: bytes | str | Sequence[bytes]) -> Array:
    """A BYTES tensor [1], or [n] of several."""
    if isinstance(data, str):
        data = data.encode()
    values = [data] if isinstance(data, bytes) else list(data)
    tensor = np.empty(len(values), dtype=object)
    tensor[:] = values
    return tensor


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
