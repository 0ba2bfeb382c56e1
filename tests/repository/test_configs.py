"""Every `config.pbtxt` against the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from photoreal import contract
from photoreal.contract import UNPOOLS, ModelSpec, TensorSpec, Unpool
from photoreal.export.acceleration import Acceleration
from photoreal.export.configs import MODEL_FILES, ExportTarget, model_configs
from photoreal.export.tensorrt import DEFAULT_MAX_SIDE, MIN_SIDE

REPOSITORY = Path(__file__).parents[2] / "model_repository"
MODELS = contract.models()


def _parsed(text: str) -> Any:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def _name(spec: ModelSpec) -> str:
    return spec.name


def _tensor(tensor: Any) -> TensorSpec:
    """A tensor of a config as the contract writes it."""
    dtype = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return TensorSpec(
        tensor.name,
        "BYTES" if dtype == "STRING" else dtype,
        tuple(tensor.dims),
        getattr(tensor, "optional", False),
    )


def _without_stride(spec: TensorSpec) -> TensorSpec:
    return TensorSpec(spec.name, spec.dtype, spec.dims, spec.optional)


@pytest.fixture(params=MODELS, ids=_name)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    model: ModelSpec = request.param
    return model


@pytest.fixture
def config(spec: ModelSpec) -> Any:
    return _parsed((REPOSITORY / spec.name / "config.pbtxt").read_text())


def test_repository_holds_the_models_of_the_contract() -> None:
    found = {path.parent.name for path in REPOSITORY.glob("*/config.pbtxt")}
    assert found == {model.name for model in MODELS}
    assert {path.parts[-3] for path in REPOSITORY.glob("*/1/model.py")} == {
        "cancel",
        "stylize",
        "wct2",
    }
    assert len(MODELS) == len({model.name for model in MODELS}) == 12


def test_config_is_that_of_the_contract(spec: ModelSpec, config: Any) -> None:
    assert config.name == spec.name
    assert config.backend == spec.backend
    assert config.max_batch_size == spec.max_batch_size
    assert config.default_model_filename == MODEL_FILES[spec.backend]
    assert [_tensor(one) for one in config.input] == [_without_stride(one) for one in spec.inputs]
    assert [_tensor(one) for one in config.output] == [_without_stride(one) for one in spec.outputs]
    (group,) = config.instance_group
    assert (group.count, group.kind) == (1, model_config_pb2.ModelInstanceGroup.KIND_CPU)
    found = {name: value.string_value for name, value in config.parameters.items()}
    expected = {contract.ENGINE_PARAMETER: "local", contract.UNPOOL_PARAMETER: "cat5"}
    assert found == (expected if spec.name == "wct2" else {})
    known = "name backend max_batch_size default_model_filename input output instance_group"
    fields = {field.name for field, _ in config.ListFields()}
    assert fields <= {*known.split(), "parameters", "model_warmup"}
    assert (REPOSITORY / spec.name / "config.pbtxt").read_text() == model_configs()[spec.name]


def test_networks_are_warmed_up_with_a_photo_that_fits_them(spec: ModelSpec, config: Any) -> None:
    """Python models call others, which Triton refuses before all are ready."""
    if spec.backend == "python":
        assert not config.model_warmup
        return
    (warm_up,) = config.model_warmup
    assert warm_up.batch_size == 1
    assert set(warm_up.inputs) == set(spec.input_names())
    sides = set()
    for tensor in spec.inputs:
        given = warm_up.inputs[tensor.name]
        assert given.random_data
        assert given.data_type == model_config_pb2.DataType.Value(f"TYPE_{tensor.dtype}")
        channels, height, width = given.dims
        assert channels == tensor.dims[0]
        sides.add((height * tensor.stride, width * tensor.stride))
    assert len(sides) == 1
    assert all(side % contract.PADDING_MULTIPLE == 0 for side in sides.pop())


@pytest.mark.parametrize("tensorrt", [False, True])
@pytest.mark.parametrize("unpool", UNPOOLS)
def test_configs_of_other_exports(unpool: Unpool, tensorrt: bool) -> None:
    configs = {
        name: _parsed(text)
        for name, text in model_configs(unpool, ExportTarget(tensorrt=tensorrt)).items()
    }
    assert configs["wct2"].parameters["unpool"].string_value == unpool
    kinds = model_config_pb2.ModelInstanceGroup
    for spec in contract.models(unpool):
        config = configs[spec.name]
        assert [_tensor(one).name for one in config.input] == spec.input_names()
        assert [tuple(one.dims) for one in config.output] == [one.dims for one in spec.outputs]
        network = spec.backend == "onnxruntime"
        assert config.backend == ("tensorrt" if network and tensorrt else spec.backend)
        if network and tensorrt:
            assert config.default_model_filename == "model.plan"
            assert config.instance_group[0].kind == kinds.KIND_GPU
            assert config.instance_group[0].gpus == [0]
    skips = {len(configs[f"wct2_decoder_{level}"].input) for level in (2, 3, 4)}
    assert skips == {5 if unpool == "cat5" else 4}


@pytest.mark.parametrize("tensorrt", [False, True])
def test_on_a_gpu_the_networks_are_models_there_and_wct2_calls_them(tensorrt: bool) -> None:
    kinds = model_config_pb2.ModelInstanceGroup
    for name, text in model_configs(target=ExportTarget(gpu=True, tensorrt=tensorrt)).items():
        config = _parsed(text)
        (group,) = config.instance_group
        # Photos are decoded on the CPU.
        on_cpu = name in ("stylize", "cancel")
        assert group.kind == (kinds.KIND_CPU if on_cpu else kinds.KIND_GPU)
        assert group.count == 1
        # All on one GPU: without a number there would be an instance on each.
        assert group.gpus == ([] if on_cpu else [0])
        found = {key: value.string_value for key, value in config.parameters.items()}
        expected = {}
        if name == "wct2":
            expected = {"engine": "bls", "unpool": "cat5", "FORCE_CPU_ONLY_INPUT_TENSORS": "no"}
            if tensorrt:
                expected["max_side"] = str(DEFAULT_MAX_SIDE)
        elif config.backend == "onnxruntime":
            # Neither a search for each new size, nor arenas of twice what is needed.
            expected = {"cudnn_conv_algo_search": "1", "arena_extend_strategy": "1"}
        assert found == expected
        assert not config.HasField("optimization")


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_tensorrt_inside_onnx_runtime(unpool: Unpool) -> None:
    target = ExportTarget(gpu=True, acceleration=Acceleration("fp16", "/cache"), max_side=1024)
    configs = {name: _parsed(text) for name, text in model_configs(unpool, target).items()}
    assert configs["wct2"].parameters["max_side"].string_value == "1024"
    for spec in contract.models(unpool):
        accelerators = configs[spec.name].optimization.execution_accelerators
        if spec.backend == "python":
            assert not configs[spec.name].HasField("optimization")
            continue
        assert configs[spec.name].max_batch_size == 1  # the engines' own
        assert not accelerators.cpu_execution_accelerator
        (accelerator,) = accelerators.gpu_execution_accelerator
        assert accelerator.name == "tensorrt"
        found = dict(accelerator.parameters)
        shapes = {kind: found.pop(f"trt_profile_{kind}_shapes") for kind in ("min", "opt", "max")}
        assert found == {
            "precision_mode": "FP16",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": "/cache",
            "trt_engine_cache_prefix": spec.name,  # one folder serves every model
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": "/cache",
        }
        for text in shapes.values():
            assert [one.split(":")[0] for one in text.split(",")] == spec.input_names()
        if spec.name in ("wct2_encoder_1", "segmenter"):
            (name,) = spec.input_names()
            assert shapes["min"] == f"{name}:1x3x{MIN_SIDE}x{MIN_SIDE}"
            assert shapes["max"] == f"{name}:1x3x1024x1024"


def test_levels_fit_together() -> None:
    """What one level gives, the next takes; what a pooling gives, its unpooling takes."""
    for unpool in UNPOOLS:
        handed: dict[str, TensorSpec] = {}
        for level in contract.LEVELS:
            features, *skips = contract.encoder(level, unpool).outputs
            handed |= {f"{one.name} at {one.stride}": one for one in skips}
            following = (
                contract.encoder(level + 1, unpool) if level < 4 else contract.decoder(4, unpool)
            )
            assert following.inputs[0].dims == features.dims
            assert following.inputs[0].stride == features.stride
        for level in (4, 3, 2):
            above, below = contract.decoder(level, unpool), contract.decoder(level - 1, unpool)
            assert above.outputs[0].dims == below.inputs[0].dims
            assert above.outputs[0].stride == below.inputs[0].stride
            for one in above.inputs[1:]:
                assert handed.pop(f"{one.name} at {one.stride}").dims == one.dims
        assert not handed
        assert contract.decoder(1, unpool).outputs[0].dims == (3, -1, -1)


@pytest.mark.parametrize("name", ["cancel", "stylize", "wct2"])
def test_adapters_are_thin(name: str) -> None:
    lines = (REPOSITORY / name / "1" / "model.py").read_text().splitlines()
    assert len(lines) < 80
