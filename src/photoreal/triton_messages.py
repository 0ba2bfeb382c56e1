"""Error messages of Triton that control flow depends on, by the version they were seen in.

Triton reports some conditions only by the text of an error: the codes that it returns to clients
are too coarse (UNAVAILABLE, INTERNAL), and calls between models (BLS) lose the code altogether.
`tests/integration/messages/test_triton_messages.py` provokes every text of `TRITON` on the real
server. After an upgrade, run it: a message that was reworded fails one row. Then add the new
version here; `reports` recognizes the texts of all versions.

The image in the Dockerfile has a later Triton than the wheel. Its texts have not been provoked.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Condition(Enum):
    """What a message reports."""

    SERVER_NOT_READY = "the server is starting or stopping"
    MODEL_UNLOADED = "the model is known but no version of it is loaded"
    MODEL_NOT_READY = "the model that another one calls is not loaded or does not exist"
    PROCESS_DIED = "the process of a Python model has died"
    KEY_REQUIRED = "the API key is missing or wrong (over gRPC, with the status UNAVAILABLE)"
    INVALID_FIELD = "a field of the JSON of an HTTP request has the wrong type (with status 500)"
    OUT_OF_MEMORY = "a network's memory could not be allocated"


TRITON: Mapping[str, Mapping[Condition, str]] = MappingProxyType(
    {
        # Release 24.10, in the wheel nvidia-pytriton 0.7.0.
        "2.51.0": MappingProxyType(
            {
                Condition.SERVER_NOT_READY: "Server not ready",
                Condition.MODEL_UNLOADED: "has no available versions",
                Condition.MODEL_NOT_READY: "is not ready",
                Condition.PROCESS_DIED: "is not healthy",
                Condition.KEY_REQUIRED: "This protocol is restricted",
                Condition.INVALID_FIELD: "Unable to parse",
            }
        ),
    }
)
"""Texts of tritonserver and its Python backend: version, condition, part of the message."""

OTHERS: Mapping[str, Mapping[Condition, str]] = MappingProxyType(
    {
        "ONNX Runtime 1.32.0": MappingProxyType(
            {Condition.OUT_OF_MEMORY: "Failed to allocate memory"}
        ),
        # The string of cudaErrorMemoryAllocation, which TensorRT and ONNX Runtime pass on.
        "CUDA 13": MappingProxyType({Condition.OUT_OF_MEMORY: "out of memory"}),
    }
)
"""Likewise, texts of what Triton's backends run; CUDA's has not been provoked."""


def reports(message: str, *conditions: Condition) -> bool:
    """Whether a message reports one of the conditions, in the words of any known version."""
    tables = (*TRITON.values(), *OTHERS.values())
    return any(
        condition in table and table[condition] in message
        for table in tables
        for condition in conditions
    )
