"""Conversion between model tensors (numpy arrays) and texts, options, requests and responses."""

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
    """Decode the text in a BYTES tensor [1]; raises InvalidRequest if it is not valid UTF-8."""
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
    """Build a BYTES tensor [1], or [n] from several values."""
    if isinstance(data, str):
        data = data.encode()
    values = [data] if isinstance(data, bytes) else list(data)
    tensor = np.empty(len(values), dtype=object)
    tensor[:] = values
    return tensor


def read_options(
    tensors: Mapping[str, Array], options: Iterable[Option] = STYLIZE_OPTIONS
) -> dict[str, Any]:
    """Read the options present in the tensors; raises InvalidRequest for invalid UTF-8."""
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
    """Build a request from the inputs of `stylize`; `wanted` names the requested outputs.

    Raises InvalidRequest for a text that is not valid UTF-8.
    """
    images: dict[str, Any] = {
        name.lower(): read(tensors[name]) for name, read in _IMAGES.items() if name in tensors
    }
    # The transfer is needed only for the image output. A client that asks for every output wants
    # no preset.
    regions_only = "IMAGE" not in wanted
    return StylizeRequest(
        **images,
        **read_options(tensors),
        regions_only=regions_only,
        measures_style=regions_only and "PRESET" in wanted,
        content_labels="CONTENT_LABELS" in wanted,
        style_labels="STYLE_LABELS" in wanted,
    )


def response_tensors(response: StylizeResponse, wanted: Collection[str]) -> dict[str, Array]:
    """Build the `stylize` outputs named in `wanted`."""
    return {name: bytes_tensor(getattr(response, name.lower())) for name in wanted}
