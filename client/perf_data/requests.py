"""Requests as the JSON that perf_analyzer reads (its option `--input-data`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tritonclient.utils import serialize_byte_tensor

from photoreal.client._transport.inputs import Tensors, build_inputs
from photoreal.contract import DEFAULT_SIZE, SEGMENTER
from photoreal.preprocess import Limits, read_photo, readable_formats, working_size


def stylize_requests(files: Mapping[str, bytes], count: int = 1, **options: Any) -> list[Tensors]:
    """Inputs of `count` requests to the model ``stylize``.

    Args:
        files: "content", "style" and, if wanted, "content_mask" and "style_mask".
        count: number of requests. From the second one on, some bytes follow the end of the style's
            file: it is the same photo, but no server knows it from the others.
        **options: options of ``stylize``.

    Raises:
        InvalidInput: an option has the wrong type.
    """
    return [build_inputs(**{**files, "style": style}, **options) for style in _styles(files, count)]


def _styles(files: Mapping[str, bytes], count: int) -> Iterator[bytes]:
    yield files["style"]
    for number in range(1, count):
        yield files["style"] + number.to_bytes(4, "big")


def segmenter_request(photo: bytes, size: int = DEFAULT_SIZE) -> Tensors:
    """Inputs of a request to the model ``segmenter``: a photo whose shorter side has `size` pixels.

    Raises:
        InvalidImage: the photo cannot be read.
    """
    decoded = read_photo(photo, "content photo", Limits(formats=readable_formats()))
    return {SEGMENTER.inputs[0].name: decoded.resized(*working_size(*decoded.shape, size))}


def perf_data(requests: Sequence[Tensors]) -> str:
    """The requests as perf_analyzer's JSON; it sends them in turn."""
    return json.dumps(
        {"data": [{name: _described(one) for name, one in inputs.items()} for inputs in requests]}
    )


def _described(tensor: Any) -> dict[str, Any]:
    """A tensor as base64, which perf_analyzer decodes and sends as it is."""
    raw = serialize_byte_tensor(tensor).item() if tensor.dtype == object else tensor.tobytes()
    return {"content": {"b64": base64.b64encode(raw).decode("ascii")}, "shape": [*tensor.shape]}
