"""The repository's `config.pbtxt` files, generated from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from photoreal.contract import (
    ENGINE_PARAMETER,
    ENGINES,
    UNPOOL_PARAMETER,
    WCT2,
    ModelSpec,
    TensorSpec,
    Unpool,
    models,
)
from photoreal.export.acceleration import Acceleration, optimization

MODEL_FILES = {"python": "model.py", "onnxruntime": "model.onnx", "tensorrt": "model.plan"}
# Native backends take the GPU where there is one; without a count every device gets instances.
_KINDS = {"python": "KIND_CPU", "onnxruntime": "KIND_AUTO", "tensorrt": "KIND_GPU"}
# Triton's Python backend otherwise copies every tensor to the CPU first.
_STAY_ON_GPU = {"FORCE_CPU_ONLY_INPUT_TENSORS": "no"}
_ENVIRONMENT = "EXECUTION_ENV_PATH"
_WARM_UP = (192, 256)  # height and width of a photo
_HEADER = "# Generated from photoreal.contract by `photoreal export`.\n"


@dataclass(frozen=True)
class Target:
    """What the models are to run on.

    `gpu`: the networks are models on the GPU and `wct2` calls them there; else everything may
    run on a CPU. `tensorrt`: the networks are TensorRT engines, which need a GPU either way.
    `acceleration`: how ONNX Runtime runs the networks on a GPU; None is its own kernels.
    `environment`: the virtual environment of the Python models, as a path of the server's machine;
    None is what the server itself finds.
    """

    gpu: bool = False
    tensorrt: bool = False
    acceleration: Acceleration | None = None
    environment: str | None = None


CPU = Target()


def model_configs(unpool: Unpool = "cat5", target: Target = CPU) -> dict[str, str]:
    """Text of every model's config, by model name."""
    configs = {}
    for spec in models(unpool):
        network = spec.backend == "onnxruntime"
        parameters = {}
        if spec.name == WCT2.name:
            parameters = {ENGINE_PARAMETER: ENGINES[0], UNPOOL_PARAMETER: unpool}
            if target.gpu:
                parameters |= {ENGINE_PARAMETER: "bls", **_STAY_ON_GPU}
        if spec.backend == "python" and target.environment is not None:
            parameters[_ENVIRONMENT] = target.environment
        if network and target.tensorrt:
            spec = replace(spec, backend="tensorrt")
        kind = _KINDS[spec.backend]
        if target.gpu and (network or spec.name == WCT2.name):
            kind = "KIND_GPU"
        further = ""
        if spec.backend == "onnxruntime" and target.acceleration is not None:
            further = optimization(spec, target.acceleration)
        configs[spec.name] = model_config(spec, kind, parameters, further)
    return configs


def model_config(spec: ModelSpec, kind: str, parameters: Mapping[str, str], further: str) -> str:
    """Text of one config; `further` is what only this model has."""
    sections = [
        _HEADER + f'name: "{spec.name}"\nbackend: "{spec.backend}"',
        f"max_batch_size: {spec.max_batch_size}",
        f'default_model_filename: "{MODEL_FILES[spec.backend]}"',
        *(_tensor("input", tensor) for tensor in spec.inputs),
        *(_tensor("output", tensor) for tensor in spec.outputs),
        f"instance_group [{{ count: 1 kind: {kind} }}]",
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
