"""The repository's `config.pbtxt` files, generated from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from photoreal.contract import (
    DEFAULT_MAX_SECONDS,
    ENGINE_PARAMETER,
    ENGINES,
    UNPOOL_PARAMETER,
    ModelSpec,
    TensorSpec,
    Unpool,
    models,
)

MODEL_FILES = {"python": "model.py", "onnxruntime": "model.onnx", "tensorrt": "model.plan"}
# Native backends take the GPU where there is one; without a count every device gets instances.
_KINDS = {"python": "KIND_CPU", "onnxruntime": "KIND_AUTO", "tensorrt": "KIND_GPU"}
_HEADER = "# Generated from photoreal.contract by `photoreal export`.\n"


def model_configs(unpool: Unpool = "cat5", *, tensorrt: bool = False) -> dict[str, str]:
    """Text of every model's config, by model name."""
    configs = {}
    for spec in models(unpool):
        parameters = {}
        if spec.name == "wct2":
            parameters = {ENGINE_PARAMETER: ENGINES[0], UNPOOL_PARAMETER: unpool}
        if tensorrt and spec.backend == "onnxruntime":
            spec = replace(spec, backend="tensorrt")
        configs[spec.name] = model_config(spec, parameters)
    return configs


def model_config(spec: ModelSpec, parameters: Mapping[str, str]) -> str:
    """Text of one config."""
    sections = [
        _HEADER + f'name: "{spec.name}"\nbackend: "{spec.backend}"',
        f"max_batch_size: {spec.max_batch_size}",
        f'default_model_filename: "{MODEL_FILES[spec.backend]}"',
        *(_tensor("input", tensor) for tensor in spec.inputs),
        *(_tensor("output", tensor) for tensor in spec.outputs),
        *([_queue(spec.max_queue)] if spec.max_queue else []),
        f"instance_group [{{ count: 1 kind: {_KINDS[spec.backend]} }}]",
        *(
            f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'
            for key, value in parameters.items()
        ),
    ]
    return "\n".join(sections) + "\n"


def _queue(length: int) -> str:
    # Triton keeps queues in its batcher, which serves a model without batches one by one.
    policy = (
        f"max_queue_size: {length} default_timeout_microseconds: {DEFAULT_MAX_SECONDS * 10**6}"
        " allow_timeout_override: true timeout_action: REJECT"
    )
    return f"dynamic_batching {{ default_queue_policy {{ {policy} }} }}"


def _tensor(kind: str, spec: TensorSpec) -> str:
    dtype = "TYPE_STRING" if spec.dtype == "BYTES" else f"TYPE_{spec.dtype}"
    dims = ", ".join(map(str, spec.dims))
    optional = " optional: true" if spec.optional else ""
    return f'{kind} {{ name: "{spec.name}" data_type: {dtype} dims: [{dims}]{optional} }}'
