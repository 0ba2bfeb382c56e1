"""What the adapters inside Triton's Python backend share: reading inputs, answering, logging.

This module is imported by the `model.py` files. Triton's own module is handed in as `triton`,
since it exists only inside its Python backend.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from photoreal.contract import ENGINE_PARAMETER, ENGINE_VARIABLE, ENGINES, ModelSpec
from photoreal.errors import InvalidRequest, ServeError

Array = npt.NDArray[Any]


class ModelFailed(ServeError):
    """A model that was called inside the server did not answer with a result."""


class ModelGone(ModelFailed):
    """A model that was called inside the server has no process to answer; it may come back."""


# What Triton says of a model whose process died or is being replaced, and what we make of it:
# through another model only the words arrive.
_BACK = "is not running; it is brought back within seconds, send the request again."
_GONE = ("is not healthy", "exited unexpectedly", "is not ready", "unknown model", _BACK)


def answer(
    triton: Any, model: ModelSpec, requests: Sequence[Any], serve: Callable[[Any], dict[str, Array]]
) -> list[Any]:
    """Answer each request by itself: one bad request gives one error.

    InvalidRequest becomes INVALID_ARGUMENT with its sentence, ModelGone UNAVAILABLE. Anything
    else becomes INTERNAL with a sentence that tells nothing of the server; the traceback goes to
    the server's log with the request's id.
    """
    return [_answer_one(triton, model, request, serve) for request in requests]


def _answer_one(
    triton: Any, model: ModelSpec, request: Any, serve: Callable[[Any], dict[str, Array]]
) -> Any:
    try:
        outputs = serve(request)
        tensors = [triton.Tensor(name, outputs[name]) for name in model.output_names()]
        return triton.InferenceResponse(output_tensors=tensors)
    except InvalidRequest as error:
        failure = triton.TritonError(str(error), triton.TritonError.INVALID_ARG)
    except ModelGone as error:
        name = request.request_id() or "without id"
        triton.Logger.log_error(f"{model.name}: request {name}: {error}")
        failure = triton.TritonError(str(error), triton.TritonError.UNAVAILABLE)
    except Exception:  # noqa: BLE001 (the boundary: nothing may leave but a response)
        name = request.request_id() or "without id"
        triton.Logger.log_error(f"{model.name}: request {name}: {traceback.format_exc()}")
        failure = triton.TritonError(
            f"{model.name} failed on a request that looks valid; the server's log tells why.",
            triton.TritonError.INTERNAL,
        )
    return triton.InferenceResponse(error=failure)


def read_inputs(triton: Any, model: ModelSpec, request: Any) -> dict[str, Array]:
    """Inputs of a request that are there, by name; raises InvalidRequest for a missing one.

    Triton itself checks names, types and shapes, but counts optional inputs only.
    """
    arrays = {}
    for spec in model.inputs:
        tensor = triton.get_input_tensor_by_name(request, spec.name)
        if tensor is not None:
            arrays[spec.name] = tensor.as_numpy()
        elif not spec.optional:
            raise InvalidRequest(f"The input {spec.name} is missing; {model.name} needs it.")
    return arrays


def text(value: Array) -> str:
    """The text in a BYTES tensor [1]; raises InvalidRequest when it is no UTF-8."""
    try:
        return blob(value).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("A text input is not valid UTF-8; expected plain words.") from None


def blob(value: Array) -> bytes:
    """The bytes in a BYTES tensor [1]."""
    return bytes(value.item())


def bytes_tensor(data: bytes | str) -> Array:
    """A BYTES tensor [1]."""
    return np.array([data.encode() if isinstance(data, str) else data], dtype=object)


def parameter(model_config: str, name: str, default: str) -> str:
    """A string parameter of a model's config (JSON, as Triton hands it over)."""
    value = json.loads(model_config).get("parameters", {}).get(name, {}).get("string_value")
    return str(value) if value is not None else default


def engine_name(model_config: str) -> str:
    """The engine that the environment or else the config asks for; raises ServeError."""
    chosen = os.environ.get(ENGINE_VARIABLE) or parameter(
        model_config, ENGINE_PARAMETER, ENGINES[0]
    )
    if chosen not in ENGINES:
        raise ServeError(f"The engine {chosen!r} is not known; expected {' or '.join(ENGINES)}.")
    return chosen


def is_exported(repository: Path, name: str) -> bool:
    """Whether a network's model file has been built."""
    return any((repository / name / "1" / f"model.{kind}").exists() for kind in ("onnx", "plan"))


def call_model(
    triton: Any,
    model: ModelSpec,
    inputs: dict[str, Array],
    request_id: str = "",
    outputs: Sequence[str] = (),
) -> dict[str, Array]:
    """Call another model of this server and return the outputs that are named, or else all.

    Raises ModelFailed, or ModelGone when the model has lost its process.
    """
    wanted = list(outputs) or model.output_names()
    request = triton.InferenceRequest(
        model_name=model.name,
        request_id=request_id,
        requested_output_names=wanted,
        inputs=[triton.Tensor(name, value) for name, value in inputs.items()],
    )
    response = request.exec()
    if response.has_error():
        message = response.error().message()
        if any(words in message for words in _GONE):
            raise ModelGone(f"The model {model.name} {_BACK}")
        raise ModelFailed(f"{model.name}: {message}")
    return {name: triton.get_output_tensor_by_name(response, name).as_numpy() for name in wanted}
