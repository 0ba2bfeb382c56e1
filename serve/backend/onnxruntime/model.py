"""Triton's `onnxruntime` backend in Python, for servers that come without the native one.

Serves every model whose config says `backend: "onnxruntime"`, reading the same repository as
the native backend does.
"""

import json
from pathlib import Path
from typing import Any

import triton_python_backend_utils as triton
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument

from photoreal.serve.backend.log_lines import request_line
from photoreal.serve.backend.onnxruntime.session import open_session


class TritonPythonModel:
    """One ONNX model on the CPU."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model file of this version."""
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        folder = Path(args["model_repository"]) / args["model_version"]
        self._session = open_session(folder / (config["default_model_filename"] or "model.onnx"))
        self._outputs = [output["name"] for output in config["output"]]
        self._inputs = [spec["name"] for spec in config["input"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the requests one at a time: image sizes differ, so they can seldom be batched."""
        return [self._run(request) for request in requests]

    def _run(self, request: Any) -> Any:
        feed = {
            name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs
        }
        # Compute only the requested outputs.
        asked = set(request.requested_output_names())
        outputs = [name for name in self._outputs if name in asked]
        try:
            arrays = self._session.run(outputs, feed)
        except Exception as error:  # noqa: BLE001 (ONNX Runtime's errors have no common base)
            triton.Logger.log_error(request_line(self._name, request.request_id(), str(error)))
            message = "The model cannot run on tensors of these sizes; see the server's log."
            code = triton.TritonError.INTERNAL
            if isinstance(error, (Fail, InvalidArgument)):
                code = triton.TritonError.INVALID_ARG
            return triton.InferenceResponse(error=triton.TritonError(message, code))
        tensors = map(triton.Tensor, outputs, arrays)
        return triton.InferenceResponse(output_tensors=list(tensors))
