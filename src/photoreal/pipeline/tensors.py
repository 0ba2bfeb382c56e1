"""A request to `stylize` as the contract's tensors, in and out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from photoreal.serve.adapter import Array, blob, blobs, bytes_tensor
from photoreal.serve.option_tensors import read_options
from photoreal.serve.request import StylizeRequest, StylizeResponse

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
