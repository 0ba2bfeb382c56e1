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
# Without an explicit GPU, Triton creates an instance on every GPU, and the models of one request
# would receive tensors from other GPUs. CUDA_VISIBLE_DEVICES selects which GPU is number 0.
_GPU_GROUP = "count: 1 kind: KIND_GPU gpus: [0]"
# By default, Triton's Python backend copies every input tensor to the CPU.
_STAY_ON_GPU = {"FORCE_CPU_ONLY_INPUT_TENSORS": "no"}
_ENVIRONMENT = "EXECUTION_ENV_PATH"
_WARM_UP = (192, 256)  # height and width of a photo
_HEADER = "# Generated from photoreal.contract by `photoreal export`.\n"


@dataclass(frozen=True)
class ExportTarget:
    """Hardware and runtime that the models are exported for.

    `gpu`: run the networks as models on the GPU, called by `wct2`; otherwise everything runs on
    the CPU. `tensorrt`: the networks are TensorRT engines, which need a GPU regardless of `gpu`.
    `acceleration`: TensorRT inside ONNX Runtime; None uses ONNX Runtime's own kernels.
    `max_side`: the longest image side in pixels that TensorRT engines are built for.
    `environment`: the virtual environment of the Python models, as a path on the server's machine;
    None uses the packages that the server finds.
    """

    gpu: bool = False
    tensorrt: bool = False
    acceleration: Acceleration | None = None
    max_side: int = DEFAULT_MAX_SIDE

    @property
    def has_engines(self) -> bool:
        """Whether TensorRT runs the networks: images up to `max_side`, in batches of one."""
        return self.tensorrt or self.acceleration is not None

    environment: str | None = None


CPU = ExportTarget()


def model_configs(unpool: Unpool = "cat5", target: ExportTarget = CPU) -> dict[str, str]:
    """Config text of every model, by model name."""
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
    """Config text of one model; `group` is its instance group, `further` an additional section."""
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
    """Warm-up request that Triton runs before a model is ready: its first run is a slow one."""
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
