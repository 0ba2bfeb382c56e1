"""Tensors of the models as numpy arrays: texts and bytes, options, requests and responses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal.errors import InvalidRequest
from photoreal.options import STYLIZE_OPTIONS, Option
from photoreal.pipeline.request import StylizeRequest, StylizeResponse

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


_IMAGES = {"CONTENT": blob, "STYLE": blobs, "CONTENT_MASK": blob, "STYLE_MASK": blobs}


def read_request(tensors: Mapping[str, Array], wanted: Collection[str]) -> StylizeRequest:
    """The request in the inputs of `stylize`, of which the outputs `wanted` are asked for.

    Raises InvalidRequest for a text that is no UTF-8.
    """
    images: dict[str, Any] = {
        name.lower(): read(tensors[name]) for name, read in _IMAGES.items() if name in tensors
    }
    # Without the picture nobody waits for a transfer.
    return StylizeRequest(**images, **read_options(tensors), regions_only="IMAGE" not in wanted)


def response_tensors(response: StylizeResponse, wanted: Collection[str]) -> dict[str, Array]:
    """The outputs `wanted` of `stylize`."""
    return {name: bytes_tensor(getattr(response, name.lower())) for name in wanted}
