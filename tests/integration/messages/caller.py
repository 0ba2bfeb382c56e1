"""A Triton model that calls another one and returns the error, as its output ERROR.

If TARGET is the name of an exception class, it is what the model `called` is to raise, and ERROR is
the exception that the adapter's `call_model` raises here: its class, a colon and its message.
Otherwise TARGET is a model to call, and ERROR is Triton's own message. An empty TARGET, as in the
warm-up, calls `called` and prints the message.
"""

from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from photoreal.contract import ModelSpec, TensorSpec
from photoreal.errors import PhotorealError
from photoreal.pipeline.tensors import text
from photoreal.serve.backend.adapter import call_model

NAMES = ("TARGET", "TEXT")
CALLED = ModelSpec(
    "called",
    "python",
    tuple(TensorSpec(name, "BYTES", (1,)) for name in NAMES),
    (TensorSpec("ERROR", "BYTES", (1,)),),
)


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        inputs = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in NAMES}
        target = text(inputs["TARGET"])
        message = _raised(inputs) if target[:1].isupper() else _answered(target, inputs)
        output = triton.Tensor("ERROR", np.array([message.encode()], dtype=object))
        return triton.InferenceResponse([output])


def _raised(inputs: dict[str, Any]) -> str:
    try:
        call_model(triton, CALLED, inputs)
    except PhotorealError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def _answered(target: str, inputs: dict[str, Any]) -> str:
    tensors = [triton.Tensor(name, value) for name, value in inputs.items()]
    response = triton.InferenceRequest(
        model_name=target or CALLED.name, requested_output_names=["ERROR"], inputs=tensors
    ).exec()
    message = str(response.error().message()) if response.has_error() else "no error"
    if not target:
        print(f"Warm-up: {message}", flush=True)
    return message
