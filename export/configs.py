"""The repository's `config.pbtxt` files, generated from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from photoreal.contract import (
    ENGINE_PARAMETER,
    ENGINES,
    MAX_SIDE_PARAMETER,
    UNPOOL_PARAMETER,
    WCT2,
    ModelSpec,
    TensorSpec,
    Unpool,
    models,
)
from photoreal.export.acceleration import CUDA_PARAMETERS, Acceleration, optimization
from photoreal.export.tensorrt import DEFAULT_MAX_SIDE

MODEL_FILES = {"python": "model.py", "onnxruntime": "model.onnx", "tensorrt": "model.plan"}
_CPU_GROUP = "count: 1 kind: KIND_CPU"
# Without a number there would be an instance on every GPU, and the models of one request would
# meet tensors of each other's GPUs. CUDA_VISIBLE_DEVICES says which GPU is the first.
_GPU_GROUP = "count: 1 kind: KIND_GPU gpus: [0]"
# Triton's Python backend otherwise copies every tensor to the CPU first.
_STAY_ON_GPU = {"FORCE_CPU_ONLY_INPUT_TENSORS": "no"}
_ENVIRONMENT = "EXECUTION_ENV_PATH"
_WARM_UP = (192, 256)  # height and width of a photo
_HEADER = "# Generated from photoreal.contract by `photoreal export`.\n"


@dataclass(frozen=True)
class ExportTarget:
    """What the models are to run on.

    `gpu`: the networks are models on the GPU and `wct2` calls them there; else everything runs on
    the CPU. `tensorrt`: the networks are TensorRT engines, which need a GPU either way.
    `acceleration`: how ONNX Runtime runs the networks on a GPU; None is its own kernels.
    `max_side`: the longest side of a picture in pixels that TensorRT's engines are built for.
    `environment`: the virtual environment of the Python models, as a path of the server's machine;
    None is what the server itself finds.
    """

    gpu: bool = False
    tensorrt: bool = False
    acceleration: Acceleration | None = None
    max_side: int = DEFAULT_MAX_SIDE

    @property
    def has_engines(self) -> bool:
        """Whether TensorRT runs the networks, for pictures up to `max_side`, one at a time."""
        return self.tensorrt or self.acceleration is not None

    environment: str | None = None


CPU = ExportTarget()


def model_configs(unpool: Unpool = "cat5", target: ExportTarget = CPU) -> dict[str, str]:
    """Text of every model's config, by model name."""
    configs = {}
    for spec in models(unpool):
        network = spec.backend == "onnxruntime"
        on_gpu = network and (target.gpu or target.tensorrt)
        parameters = {}
        if spec.name == WCT2.name:
            parameters = {ENGINE_PARAMETER: ENGINES[0], UNPOOL_PARAMETER: unpool}
            if target.gpu:
                parameters |= {ENGINE_PARAMETER: "bls", **_STAY_ON_GPU}
                on_gpu = True
            if target.has_engines:
                parameters[MAX_SIDE_PARAMETER] = str(target.max_side)
        elif network and target.has_engines:
            spec = replace(spec, max_batch_size=1)
        if spec.backend == "python" and target.environment is not None:
            parameters[_ENVIRONMENT] = target.environment
        if network and target.tensorrt:
            spec = replace(spec, backend="tensorrt")
        further = ""
        if spec.backend == "onnxruntime" and on_gpu:
            parameters |= CUDA_PARAMETERS
            if target.acceleration is not None:
                further = optimization(spec, target.acceleration, target.max_side)
        group = _GPU_GROUP if on_gpu else _CPU_GROUP
        configs[spec.name] = model_config(spec, group, parameters, further)
    return configs


def model_config(spec: ModelSpec, group: str, parameters: Mapping[str, str], further: str) -> str:
    """Text of one config; `group` is of its instances, `further` what only this model has."""
    sections = [
        _HEADER + f'name: "{spec.name}"\nbackend: "{spec.backend}"',
        f"max_batch_size: {spec.max_batch_size}",
        f'default_model_filename: "{MODEL_FILES[spec.backend]}"',
        *(_tensor("input", tensor) for tensor in spec.inputs),
        *(_tensor("output", tensor) for tensor in spec.outputs),
        f"instance_group [{{ {group} }}]",
        *(
            f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'
            for key, value in parameters.items()
        ),
        *([_warm_up(spec)] if spec.backend != "python" else []),
        *([further] if further else []),
    ]
    return "\n".join(sections) + "\n"


def _warm_up(spec: ModelSpec) -> str:
    """A request that a model answers before it is ready: the first one makes a network's plans."""
    inputs = []
    for tensor in spec.inputs:
        size = iter(_WARM_UP)
        dims = ", ".join(str(next(size) // tensor.stride if n < 0 else n) for n in tensor.dims)
        value = f"data_type: TYPE_{tensor.dtype} dims: [{dims}] random_data: true"
        inputs.append(f'inputs {{ key: "{tensor.name}" value: {{ {value} }} }}')
    return f'model_warmup [{{ name: "photo" batch_size: 1 {" ".join(inputs)} }}]'


def _tensor(kind: str, spec: TensorSpec) -> str:
    dtype = "TYPE_STRING" if spec.dtype == "BYTES" else f"TYPE_{spec.dtype}"
    dims = ", ".join(map(str, spec.dims))
    optional = " optional: true" if spec.optional else ""
    return f'{kind} {{ name: "{spec.name}" data_type: {dtype} dims: [{dims}]{optional} }}'
