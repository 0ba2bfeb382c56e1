"""A stand-in for Triton's Python backend: its module, its requests and its other models."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from photoreal.export.configs import model_configs
from tests.kinds import Arguments, Array, Load, Patch, Start
from tests.shared import encoded, photo

Model = Callable[[dict[str, Array]], dict[str, Array]]

ROOT = Path(__file__).parents[2]


@dataclass
class Tensor:
    """A named array, or one of another framework on a GPU."""

    _name: str
    _array: Array | None
    _gpu: torch.Tensor | None = None

    def name(self) -> str:
        return self._name

    def is_cpu(self) -> bool:
        return self._gpu is None

    def as_numpy(self) -> Array:
        if self._array is None:
            raise RuntimeError("Tensor is stored in GPU and cannot be converted to NumPy.")
        return self._array

    @classmethod
    def from_dlpack(cls, name: str, tensor: torch.Tensor) -> Tensor:
        """Takes the numbers where they are; Triton knows no strides."""
        if not tensor.is_contiguous():
            raise RuntimeError("DLPack tensor is not contiguous.")
        return cls(name, None, torch.utils.dlpack.from_dlpack(tensor))

    def numbers(self) -> Array:
        """What the server itself sees."""
        return self.as_numpy() if self._gpu is None else self._gpu.numpy()

    def __dlpack__(self, **how: Any) -> Any:
        assert self._gpu is not None
        return self._gpu.__dlpack__(**how)

    def __dlpack_device__(self) -> Any:
        assert self._gpu is not None
        return self._gpu.__dlpack_device__()


@dataclass
class PreferredMemory:
    """Where the caller wants the outputs of another model."""

    kind: int
    device: int = 0


@dataclass
class TritonError:
    """A message with one of Triton's codes."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, CANCELLED = range(6)
    _message: str
    _code: int = UNKNOWN

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class InferenceResponse:
    """Output tensors, or an error."""

    def __init__(
        self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None
    ) -> None:
        self._tensors, self._error = output_tensors, error

    def output_tensors(self) -> list[Tensor]:
        return list(self._tensors)

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class ResponseSender:
    """What answers a request after `execute` has returned."""

    def __init__(self) -> None:
        self._responses: queue.Queue[InferenceResponse] = queue.Queue()

    def send(self, response: InferenceResponse, flags: int) -> None:
        assert flags == FakeTriton.TRITONSERVER_RESPONSE_COMPLETE_FINAL
        self._responses.put(response)

    def sent(self, timeout_s: float = 60.0) -> InferenceResponse:
        """The response, waiting for it; raises queue.Empty."""
        return self._responses.get(timeout=timeout_s)


class Trace:
    """The trace of a request; without a context it is none of OpenTelemetry's."""

    context: str | None = "{}"

    def get_context(self) -> str | None:
        return self.context


class Request:
    """A request as an adapter receives it."""

    def __init__(
        self,
        tensors: dict[str, Array],
        request_id: str = "",
        outputs: Sequence[str] = (),
        *,
        timeout: int = 0,
        parameters: dict[str, object] | None = None,
    ) -> None:
        self.tensors = {name: Tensor(name, array) for name, array in tensors.items()}
        self.canceled = False
        self.sender, trace = ResponseSender(), Trace()
        self.get_response_sender = lambda: self.sender
        self.is_cancelled = lambda: self.canceled
        self.timeout, self.request_id = (lambda: timeout), (lambda: request_id)
        self.parameters, self.trace = (lambda: json.dumps(parameters or {})), (lambda: trace)
        self.requested_output_names = lambda: list(outputs)


class Refused(Exception):
    """What a model raises to answer with an error."""


class Metric:
    """One value, and what was observed."""

    def __init__(self, labels: dict[str, str], buckets: Sequence[float] = ()) -> None:
        self.labels, self.buckets = labels, list(buckets)
        self.observed: list[float] = []
        self.observe = self.observed.append
        self._value = 0.0

    def increment(self, by: float) -> None:
        self._value += by

    def set(self, value: float) -> None:
        self._value = value

    def value(self) -> float:
        return self._value


class MetricFamily:
    """Metrics and their values; `made` holds every one by name."""

    COUNTER, GAUGE, HISTOGRAM = range(3)
    made: dict[str, list[Metric]] = {}  # noqa: RUF012 (cleared for each test)

    def __init__(self, *, name: str, description: str, kind: int) -> None:
        self._metrics = self.made.setdefault(name, [])

    def Metric(self, **how: Any) -> Metric:  # noqa: N802 (Triton's name)
        self._metrics.append(Metric(**how))
        return self._metrics[-1]

    @classmethod
    def values(cls, name: str) -> dict[tuple[str, ...], float]:
        """The values of a family that are not 0, by the values of their labels."""
        return {tuple(one.labels.values()): one.value() for one in cls.made[name] if one.value()}


@dataclass
class InferenceRequest:
    """A call of another model of the stand-in that `server` is."""

    server: ClassVar[FakeTriton]
    model_name: str
    requested_output_names: list[str]
    inputs: list[Tensor]
    request_id: str = ""
    trace: object = None
    timeout: int = 0
    parameters: dict[str, object] | None = None
    preferred_memory: PreferredMemory | None = None

    def exec(self) -> InferenceResponse:
        server, model = self.server, self.model_name
        inputs = {tensor.name(): tensor.numbers() for tensor in self.inputs}
        server.passed_on.append((self.timeout, self.parameters))
        server.traces.append(self.trace)
        server.calls.append((model, inputs, self.request_id))
        server.asked.append(self.requested_output_names)
        if server.refusal:
            return InferenceResponse(error=TritonError(server.refusal))
        if model in server.dead:
            words = f"Stub process '{model}_0_0' is not healthy."
            return InferenceResponse(error=TritonError(words))
        if model not in server.models:
            return InferenceResponse(error=TritonError(f"no model {model} at /srv"))
        try:
            outputs = server.models[model](inputs)
        except Refused as error:  # codes are lost between models
            return InferenceResponse(error=TritonError(str(error), TritonError.INTERNAL))
        on_cpu = self.preferred_memory is not None and self.preferred_memory.kind == 0
        gpu = model in server.on_gpu and not on_cpu
        found = {name: outputs[name] for name in self.requested_output_names}
        return InferenceResponse(
            [
                Tensor(name, None, torch.from_numpy(array)) if gpu else Tensor(name, array)
                for name, array in found.items()
            ]
        )


class FakeTriton(ModuleType):
    """The module `triton_python_backend_utils` over a server whose models are functions.

    `on_gpu` names models whose outputs are there unless the caller prefers the CPU.
    """

    TRITONSERVER_MEMORY_CPU, TRITONSERVER_MEMORY_GPU = 0, 2
    TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1

    def __init__(self) -> None:
        super().__init__("triton_python_backend_utils")
        named = (Tensor, Request, Refused, Trace, TritonError, InferenceResponse, PreferredMemory)
        vars(self).update({one.__name__: one for one in (*named, MetricFamily, InferenceRequest)})
        self.models: dict[str, Model] = {}
        self.on_gpu: set[str] = set()
        self.dead: set[str] = set()
        self.calls: list[tuple[str, dict[str, Array], str]] = []
        self.asked: list[list[str]] = []
        self.passed_on: list[tuple[int, dict[str, object] | None]] = []
        self.traces: list[object] = []
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.infos: list[str] = []
        self.refusal = ""
        self.Logger = SimpleNamespace(
            log_info=self.infos.append, log_warn=self.warnings.append, log_error=self.errors.append
        )
        MetricFamily.made.clear()
        InferenceRequest.server = self

    @staticmethod
    def get_input_tensor_by_name(request: Request, name: str) -> Tensor | None:
        return request.tensors.get(name)

    @staticmethod
    def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor | None:
        return next((one for one in response.output_tensors() if one.name() == name), None)


@pytest.fixture
def triton(monkeypatch: Patch) -> FakeTriton:
    """Triton's module, in place for adapters that import it."""
    fake = FakeTriton()
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    for name in [one for one in os.environ if one.startswith("PHOTOREAL_")]:
        monkeypatch.delenv(name)
    # An engine takes every core; here that only makes small pictures slow.
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    return fake


def _waits_for_answers(model: Any) -> Any:
    """A model whose `execute` gives the responses also when they come later."""
    execute = model.execute

    def wait(requests: list[Request]) -> list[InferenceResponse]:
        responses = execute(requests)
        return [one.sender.sent() for one in requests] if responses is None else responses

    model.execute = wait
    return model


@pytest.fixture
def load_adapter(triton: FakeTriton) -> Iterator[Load]:
    """Makes a model from an adapter's file, given by its path in the project."""
    loaded: list[Any] = []

    def load(path: str) -> Any:
        spec = importlib.util.spec_from_file_location("adapter_under_test", ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        loaded.append(_waits_for_answers(module.TritonPythonModel()))
        return loaded[-1]

    yield load
    for model in loaded:
        if hasattr(model, "_queue"):  # it was initialized, and has threads
            model.finalize()


@pytest.fixture
def arguments(tmp_path: Path) -> Arguments:
    """What Triton hands to `initialize` of a model that lies in the test's own repository."""

    def make(name: str, config_text: str | None = None) -> dict[str, str]:
        config = model_config_pb2.ModelConfig()
        text_format.Parse(config_text or model_configs()[name], config)
        content = json_format.MessageToDict(config, preserving_proto_field_name=True)
        folder = tmp_path / "repository" / name
        (folder / "1").mkdir(parents=True, exist_ok=True)
        return {
            "model_config": json.dumps(content),
            "model_repository": str(folder),
            "model_version": "1",
            "model_name": name,
        }

    return make


@pytest.fixture
def add_segmenter(arguments: Arguments) -> Callable[[Sequence[str]], None]:
    """Puts a segmenter with some classes into the test's own repository."""

    def add(classes: Sequence[str]) -> None:
        folder = Path(arguments("segmenter")["model_repository"])
        (folder / "1" / "model.onnx").touch()
        (folder / "labels.txt").write_text("\n".join(classes))

    return add


@pytest.fixture
def start(load_adapter: Load, arguments: Arguments, monkeypatch: Patch) -> Start:
    """Loads and initializes the adapter of a model, with variables of the environment."""

    def run(name: str, config_text: str | None = None, **variables: str) -> Any:
        for variable, value in variables.items():
            monkeypatch.setenv(f"PHOTOREAL_{variable}", value)
        model = load_adapter(f"model_repository/{name}/1/model.py")
        model.initialize(arguments(name, config_text))
        return model

    return run


@pytest.fixture
def stylize(start: Start, triton: FakeTriton) -> Any:
    """The adapter of `stylize`, over a `wct2` that does nothing."""
    triton.models["wct2"] = lambda inputs: {
        "IMAGE": inputs["CONTENT"],
        "STYLE_CACHED": np.array([False]),
    }
    return start("stylize")


@pytest.fixture
def photos() -> dict[str, Array]:
    """The two tensors that every request of `stylize` needs, and a small size."""
    content, style = encoded(photo(16, 24, seed=1)), encoded(photo(20, 16, seed=2))
    return {
        "CONTENT": np.array([content], dtype=object),
        "STYLE": np.array([style], dtype=object),
        "SIZE": np.array([16], dtype=np.int32),
    }
