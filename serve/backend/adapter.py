"""Shared functions of the adapters in Triton's Python backend: inputs, responses, model calls.

The `model.py` files import this module. They pass Triton's module, which exists only inside the
Python backend, as `triton`.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from photoreal.contract import (
    CANCEL_PARAMETER,
    DEVICE_VARIABLE,
    ENGINE_PARAMETER,
    ENGINE_VARIABLE,
    ENGINES,
    SEGMENTER,
    SEGMENTER_CLASSES_FILE,
    ModelSpec,
)
from photoreal.error_codes import ERROR_CODES_PARAMETER, decode, encode
from photoreal.errors import (
    Canceled,
    DeadlineExceeded,
    InvalidRequest,
    ModelFailed,
    ModelUnavailable,
    NumericalError,
    PhotorealError,
    QueueFull,
    ServeError,
)
from photoreal.pipeline.tensors import Array
from photoreal.serve.backend.log_lines import request_line, shown_id
from photoreal.serve.backend.metrics import RequestMetrics
from photoreal.serve.backend.watch import Watch
from photoreal.triton_messages import Condition, reports

_STARTING_OR_STOPPING = "The server is starting or stopping; retry later."


class _Handling(NamedTuple):
    """How an error is answered: Triton's error code, and level and words of the log line."""

    errors: tuple[type[PhotorealError], ...]
    code: str
    level: str
    words: str = "{}"


# The first row that matches counts. Triton has no code for a timeout.
_HANDLING = (
    _Handling((InvalidRequest,), "INVALID_ARG", "log_info", "refused: {}"),
    _Handling((DeadlineExceeded,), "UNAVAILABLE", "log_info", "stopped: {}"),
    _Handling((Canceled,), "CANCELLED", "log_info", "stopped: {}"),
    _Handling((QueueFull,), "UNAVAILABLE", "log_info", "busy: {}"),
    _Handling((ModelUnavailable,), "UNAVAILABLE", "log_warn"),
    _Handling((NumericalError,), "INTERNAL", "log_error"),
)


def answer(
    triton: Any,
    model: ModelSpec,
    requests: Sequence[Any],
    serve: Callable[[Any], dict[str, Array]],
    metrics: RequestMetrics,
) -> list[Any]:
    """Answer the requests one at a time: one bad request gives one error response.

    InvalidRequest becomes INVALID_ARGUMENT with its message, Canceled becomes CANCELLED.
    DeadlineExceeded, QueueFull and ModelUnavailable become UNAVAILABLE; after the last two, a
    client can retry. NumericalError becomes INTERNAL with its message. Any other exception becomes
    INTERNAL with a message that reveals nothing about the server; the traceback goes to the
    server's log with the request's id.
    """
    return [answer_one(triton, model, request, serve, metrics) for request in requests]


def answer_one(
    triton: Any,
    model: ModelSpec,
    request: Any,
    serve: Callable[[Any], dict[str, Array]],
    metrics: RequestMetrics,
) -> Any:
    """Return the response to one request, as described for `answer`."""
    start = time.perf_counter()

    def log(level: str, words: str) -> None:
        line = request_line(model.name, request.request_id(), words)
        getattr(triton.Logger, level)(line)

    try:
        outputs = serve(request)
        names = [name for name in model.output_names() if name in outputs]
        tensors = [triton.Tensor(name, outputs[name]) for name in names]
        metrics.succeeded()
        log("log_info", f"answered in {time.perf_counter() - start:.3f} s")
        return triton.InferenceResponse(output_tensors=tensors)
    except Exception as error:  # noqa: BLE001 (every failure must become a response)
        metrics.ended_in(error)
        found = next((one for one in _HANDLING if isinstance(error, one.errors)), None)
        if found is not None and isinstance(error, PhotorealError):
            log(found.level, found.words.format(error))
            return _error_response(triton, request, error, found.code)
        log("log_error", traceback.format_exc())
        shown = shown_id(request.request_id())
        where = f"request {shown} in the server's log" if shown else "the server's log"
        hidden = ModelFailed(f"{model.name} failed with an internal error; see {where}.")
        return _error_response(triton, request, hidden, "INTERNAL")


def _error_response(triton: Any, request: Any, error: PhotorealError, code: str) -> Any:
    coded = json.loads(request.parameters() or "{}").get(ERROR_CODES_PARAMETER)
    message = encode(error) if coded else str(error)
    return triton.InferenceResponse(
        error=triton.TritonError(message, getattr(triton.TritonError, code))
    )


def read_inputs(triton: Any, model: ModelSpec, request: Any) -> dict[str, Array]:
    """Return the inputs of a request by name; raises InvalidRequest for a missing one.

    Triton checks names, types and shapes. For a model with optional inputs it checks only how many
    inputs there are, so a required one may be missing.
    """
    arrays = {}
    for spec in model.inputs:
        tensor = triton.get_input_tensor_by_name(request, spec.name)
        if tensor is not None:
            arrays[spec.name] = tensor.as_numpy()
        elif not spec.optional:
            raise InvalidRequest(f"The input {spec.name} is missing; {model.name} requires it.")
    return arrays


def parameter(model_config: str, name: str, default: str) -> str:
    """Read a string parameter of a model's config, which Triton passes as JSON."""
    value = json.loads(model_config).get("parameters", {}).get(name, {}).get("string_value")
    return str(value) if value is not None else default


def engine_name(model_config: str) -> str:
    """Return the engine from the environment or else from the config; raises ServeError."""
    chosen = os.environ.get(ENGINE_VARIABLE) or parameter(
        model_config, ENGINE_PARAMETER, ENGINES[0]
    )
    if chosen not in ENGINES:
        raise ServeError(f"The engine {chosen!r} is not known; expected {' or '.join(ENGINES)}.")
    return chosen


def is_on_gpu(model_config: str) -> bool:
    """Whether `photoreal serve` runs the networks in the models' own processes on a GPU."""
    return engine_name(model_config) == "local" and os.environ.get(DEVICE_VARIABLE) == "cuda"


def is_exported(repository: Path, name: str) -> bool:
    """Whether the repository has the model file of a network."""
    return any((repository / name / "1" / f"model.{kind}").exists() for kind in ("onnx", "plan"))


def segmenter_classes(repository: Path) -> tuple[str, ...]:
    """Class names of the segmenter; empty if no segmenter has been exported."""
    if not is_exported(repository, SEGMENTER.name):
        return ()
    listing = repository / SEGMENTER.name / SEGMENTER_CLASSES_FILE
    return tuple(listing.read_text().splitlines())


def call_model(
    triton: Any,
    model: ModelSpec,
    inputs: dict[str, Array],
    parent: Any = None,
    outputs: Sequence[str] = (),
    watch: Watch | None = None,
) -> dict[str, Array]:
    """Call another model of this server and return the named outputs, by default all of them.

    The call carries the id of the request `parent` and belongs to its trace. A `watch` passes the
    remaining time and the caller's cancellation on to the model. Outputs of a model on a GPU are
    copied to the CPU.

    Raises the exception that the called model raised, where `photoreal.error_codes` has a code for
    its class; otherwise ModelFailed, or ModelUnavailable if the same call may succeed later.
    """
    tensors = [triton.Tensor(name, value) for name, value in inputs.items()]
    on_cpu = triton.PreferredMemory(triton.TRITONSERVER_MEMORY_CPU, 0)
    found = call_with_tensors(
        triton, model, tensors, parent, outputs, watch, preferred_memory=on_cpu
    )
    return {name: tensor.as_numpy() for name, tensor in found.items()}


def call_with_tensors(
    triton: Any,
    model: ModelSpec,
    inputs: Sequence[Any],
    parent: Any = None,
    outputs: Sequence[str] = (),
    watch: Watch | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Like `call_model`, with Triton tensors as inputs and outputs, which may be on a GPU."""
    origin: dict[str, Any] = {}
    if parent is not None:
        origin = {"request_id": parent.request_id()}
        if is_traced(parent):
            origin["trace"] = parent.trace()
    if watch is not None:
        watch.check()
    wanted = list(outputs) or model.output_names()
    request = triton.InferenceRequest(
        model_name=model.name,
        requested_output_names=wanted,
        inputs=list(inputs),
        **origin,
        **_passed_on(watch),
        **how,
    )
    with watch.passed_on() if watch is not None else nullcontext():
        response = request.exec()
    if response.has_error():
        if watch is not None:
            watch.check()  # was it stopped?
        raise _failure(model, response.error().message())
    return {name: triton.get_output_tensor_by_name(response, name) for name in wanted}


def is_traced(request: Any) -> bool:
    """Whether a request belongs to an OpenTelemetry trace.

    Such a trace ends when `execute` returns: calls that belong to it must be made before.
    """
    trace = request.trace()
    return trace is not None and trace.get_context() is not None


def _failure(model: ModelSpec, message: str) -> PhotorealError:
    """Return the exception for an error that a called model or Triton itself answered."""
    error = decode(message)
    if error is not None and type(error) is not ModelFailed:
        return error
    if error is None and reports(message, Condition.SERVER_NOT_READY, Condition.MODEL_UNLOADED):
        return ModelUnavailable(_STARTING_OR_STOPPING)
    if error is None and reports(message, Condition.PROCESS_DIED, Condition.MODEL_NOT_READY):
        return ModelUnavailable(
            f"The model {model.name} is not running and is being restarted; retry in a few seconds."
        )
    return ModelFailed(f"{model.name}: {message if error is None else error}")


def _passed_on(watch: Watch | None) -> dict[str, Any]:
    parameters: dict[str, Any] = {ERROR_CODES_PARAMETER: True}
    if watch is None:
        return {"parameters": parameters}
    parameters[CANCEL_PARAMETER] = watch.key
    return {"timeout": watch.microseconds_left(), "parameters": parameters}
