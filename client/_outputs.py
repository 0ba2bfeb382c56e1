"""Output tensors of the model ``stylize``: which to request, and their common parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from photoreal.client.errors import ServerFailed
from photoreal.contract import STYLIZE

REGION_OUTPUTS = ("CONTENT_LABELS", "STYLE_LABELS", "REPORT")
"""Outputs to request when only the regions are wanted."""
PRESET_OUTPUTS = ("PRESET", "REPORT")
"""Outputs to request for measuring a style."""


def picture_outputs(*, labels: bool) -> tuple[str, ...]:
    """Outputs to request for a picture, with the label maps of its regions or without."""
    return ("IMAGE", *REGION_OUTPUTS) if labels else ("IMAGE", "REPORT")


def parse_report(outputs: Mapping[str, NDArray[Any]], request_id: str | None) -> dict[str, Any]:
    """Parse the report; raises ServerFailed if it is missing or no JSON object."""
    try:
        report = json.loads(output_files(outputs, "REPORT", request_id)[0])
    except ValueError:
        report = None
    if not isinstance(report, dict):
        raise ServerFailed("The server's report is not a JSON object.", request_id=request_id)
    return report


def output_files(
    outputs: Mapping[str, NDArray[Any]], name: str, request_id: str | None
) -> list[bytes]:
    """The files in an output: one, or at least one if the contract allows several.

    Raises ServerFailed if they are missing.
    """
    (spec,) = (spec for spec in STYLIZE.outputs if spec.name == name)
    tensor = outputs.get(name)
    values = [] if tensor is None else tensor.ravel().tolist()
    fits = len(values) == 1 or (values and spec.dims == (-1,))
    if not fits or not all(isinstance(value, bytes) for value in values):
        raise ServerFailed(
            f"The server's answer lacks {name} or has it in another form.", request_id=request_id
        )
    return values
