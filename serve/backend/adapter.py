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
from typing import Any

from photoreal.contract import (
    CANCEL_PARAMETER,
    DEVICE_VARIABLE,
    ENGINE_PARAMETER,
    ENGINE_VARIABLE,
    ENGINES,
    MODEL_IS_GONE,
    SEGMENTER,
    SEGMENTER_CLASSES_FILE,
    ModelSpec,
)
from photoreal.errors import (
    NO_ROOM_ON_GPU,
    NOT_COMPUTED,
    PRESET_REFUSED,
    Canceled,
    DeadlineExceeded,
    InvalidOption,
    InvalidRequest,
    ModelFailed,
    NumericalError,
    QueueFull,
    ServeError,
)
from photoreal.pipeline.tensors import Array
from photoreal.serve.backend.log_lines import request_line, shown_id
from photoreal.serve.backend.metrics import RequestMetrics
from photoreal.serve.backend.watch import Watch


class ModelUnavailable(ModelFailed):
    """A model called inside the server is temporarily unavailable.

    Its process died and is being restarted, or the server is starting or stopping. The message is
    a sentence for the caller.
    """


# Substrings by which Triton's messages report an unavailable model, and the messages that callers
# get instead. They are matched as text because error codes are lost between models.
_AWAY = "The server is stopping or not yet ready; the same request may succeed later."
_AWAY_MARKS = ("Server not ready", "has no available versions", _AWAY)
_BACK = "is not running; it is brought back within seconds, send the request again."
_GONE_MARKS = (*MODEL_IS_GONE, "is not ready", "unknown model", _BACK)


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

    def line(words: str) -> str:
        return request_line(model.name, request.request_id(), words)

    try:
        outputs = serve(request)
        names = [name for name in model.output_names() if name in outputs]
        tensors = [triton.Tensor(name, outputs[name]) for name in names]
        metrics.succeeded()
        triton.Logger.log_info(line(f"answered in {time.perf_counter() - start:.3f} s"))
        return triton.InferenceResponse(output_tensors=tensors)
    except InvalidRequest as error:
        metrics.ended_in(error)
        triton.Logger.log_info(line(f"refused: {error}"))
        failure = triton.TritonError(str(error), triton.TritonError.INVALID_ARG)
    except DeadlineExceeded as error:  # Triton has no error code for it
        metrics.ended_in(error)
        triton.Logger.log_info(line(f"stopped: {error}"))
        failure = triton.TritonError(str(error), triton.TritonError.UNAVAILABLE)
    except QueueFull as error:
        metrics.ended_in(error)
        triton.Logger.log_info(line(f"turned away: {error}"))
        failure = triton.TritonError(str(error), triton.TritonError.UNAVAILABLE)
    except Canceled as error:
        metrics.ended_in(error)
        triton.Logger.log_info(line(f"stopped: {error}"))
        failure = triton.TritonError(str(error), triton.TritonError.CANCELLED)
    except ModelUnavailable as error:
        metrics.ended_in(error)
        triton.Logger.log_warn(line(str(error)))
        failure = triton.TritonError(str(error), triton.TritonError.UNAVAILABLE)
    except NumericalError as error:
        metrics.ended_in(error)
        triton.Logger.log_error(line(str(error)))
        failure = triton.TritonError(str(error), triton.TritonError.INTERNAL)
    except Exception as error:  # noqa: BLE001 (every failure must become a response)
        metrics.ended_in(error)
        triton.Logger.log_error(line(traceback.format_exc()))
        shown = shown_id(request.request_id())
        sentence = f"{model.name} failed on a request that looks valid; the server's log tells why"
        sentence += f" under {shown}." if shown else "."
        failure = triton.TritonError(sentence, triton.TritonError.INTERNAL)
    return triton.InferenceResponse(error=failure)


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
            raise InvalidRequest(f"The input {spec.name} is missing; {model.name} needs it.")
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

    Raises ModelFailed, ModelUnavailable, InvalidOption, NumericalError, DeadlineExceeded and
    Canceled.
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
            watch.check()  # error codes are lost between models: was it stopped?
        message = response.error().message()
        if any(mark in message for mark in _AWAY_MARKS):
            raise ModelUnavailable(_AWAY)
        if any(mark in message for mark in _GONE_MARKS):
            raise ModelUnavailable(f"The model {model.name} {_BACK}")
        for beginning in (NO_ROOM_ON_GPU, PRESET_REFUSED):
            if beginning in message:
                raise InvalidOption(message[message.index(beginning) :])
        if NOT_COMPUTED in message:
            raise NumericalError(message[message.index(NOT_COMPUTED) + len(NOT_COMPUTED) + 1 :])
        raise ModelFailed(f"{model.name}: {message}")
    return {name: triton.get_output_tensor_by_name(response, name) for name in wanted}


def is_traced(request: Any) -> bool:
    """Whether a request belongs to an OpenTelemetry trace.

    Such a trace ends when `execute` returns: calls that belong to it must be made before.
    """
    trace = request.trace()
    return trace is not None and trace.get_context() is not None


def _passed_on(watch: Watch | None) -> dict[str, Any]:
    if watch is None:
        return {}
    return {"timeout": watch.microseconds_left(), "parameters": {CANCEL_PARAMETER: watch.key}}
