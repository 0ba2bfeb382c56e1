"""The adapter of `wct2` and its two engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from photoreal import contract
from photoreal.contract import UNPOOLS, Unpool
from photoreal.errors import ModelFailed, ServeError
from photoreal.export.configs import model_configs
from photoreal.export.wrappers import DecoderLevel, EncoderLevel
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.regions import Pair, match_published
from photoreal.serve.backend import bls
from photoreal.serve.backend.adapter import call_model
from photoreal.serve.backend.bls import BlsEngine
from photoreal.transfer.progressive import LabelledImage, NetworkEngine, transfer
from photoreal.weights.networks import save_bundle
from tests.kinds import Arguments, Array, Engines, Images, Networks, Patch, Sentence, Start

pytestmark = pytest.mark.slow


ADAPTER = "model_repository/wct2/1/model.py"


@pytest.fixture
def pictures(random_image: Images) -> dict[str, Array]:
    return {
        "CONTENT": random_image(24, 32)[0].numpy(),
        "STYLE": random_image(32, 16, seed=1)[0].numpy(),
    }


@pytest.fixture
def label_maps() -> dict[str, Array]:
    content, style = np.zeros((24, 32), dtype=np.uint8), np.zeros((32, 16), dtype=np.uint8)
    content[:, 16:] = 4
    style[20:] = 4
    return {"CONTENT_LABELS": content, "STYLE_LABELS": style}


@pytest.fixture
def adapter(start: Start) -> Any:
    return start("wct2")


def _labelled(inputs: dict[str, Array], role: str) -> LabelledImage:
    labels = inputs.get(f"{role}_LABELS", np.zeros(inputs[role].shape[1:], dtype=np.uint8))
    return LabelledImage(torch.from_numpy(inputs[role])[None], labels)


def _image(response: Any) -> Array:
    assert not response.has_error(), response.error().message()
    tensors = response.output_tensors()
    assert [tensor.name() for tensor in tensors] == contract.WCT2.output_names()
    image: Array = tensors[0].as_numpy()
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    return image


def _check(
    found: Array, inputs: dict[str, Array], pairs: list[Pair], engine: Any, **how: Any
) -> None:
    content, style = (_labelled(inputs, role) for role in ("CONTENT", "STYLE"))
    expected = transfer(content, style, pairs, engine, **how)
    np.testing.assert_array_equal(found, expected[0].numpy())


@pytest.mark.parametrize("labelled", [False, True])
def test_photos_are_one_region_and_labels_follow_the_published_rule(
    adapter: Any,
    pictures: dict[str, Array],
    label_maps: dict[str, Array],
    builtin_engine: Engines,
    triton: Any,
    labelled: bool,
) -> None:
    inputs, pairs = pictures, [Pair(0, None)]
    if labelled:
        inputs = pictures | label_maps
        pairs = match_published(*label_maps.values())
        assert len(pairs) == 2
    found = _image(adapter.execute([triton.Request(inputs)])[0])
    _check(found, inputs, pairs, builtin_engine("cat5"))


def test_pairs_and_options_are_followed(
    adapter: Any,
    pictures: dict[str, Array],
    label_maps: dict[str, Array],
    builtin_engine: Engines,
    triton: Any,
) -> None:
    inputs = pictures | label_maps
    options = {
        "PAIRS": np.array([[4, 0], [0, -1]], dtype=np.int32),
        "ALPHA": np.array([0.5], dtype=np.float32),
        "TRANSFER_AT": np.array([b"skip,encoder"], dtype=object),
        "BLEND": np.array([2], dtype=np.int32),
    }
    found = _image(adapter.execute([triton.Request(inputs | options)])[0])
    pairs = [Pair(4, 0), Pair(0, None)]
    how = {"alpha": 0.5, "places": ("encoder", "skip"), "blend": 2}
    _check(found, inputs, pairs, builtin_engine("cat5"), **how)


BAD: list[tuple[dict[str, Array | None], str]] = [
    ({"CONTENT": None}, "The input CONTENT is missing"),
    ({"CONTENT": np.full((3, 24, 32), np.nan, dtype=np.float32)}, "not finite"),
    (
        {
            "STYLE": np.zeros((3, 15, 16), dtype=np.float32),
            "STYLE_LABELS": np.zeros((15, 16), dtype=np.uint8),
        },
        "16x15 pixels",
    ),
    ({"STYLE_LABELS": None}, "One label map is missing"),
    (
        {"CONTENT_LABELS": np.zeros((24, 31), dtype=np.uint8)},
        "expected the same height and width",
    ),
    ({"PAIRS": np.array([[4, 0], [4, 4]], dtype=np.int32)}, "name a content label twice"),
    ({"PAIRS": np.array([[i, 0] for i in range(65)], dtype=np.int32)}, "more than 64"),
    ({"ALPHA": np.array([-0.1], dtype=np.float32)}, "alpha is -0.1"),
    ({"TRANSFER_AT": np.array([b"bottom"], dtype=object)}, "transfer_at is 'bottom'"),
    ({"BLEND": np.array([-1], dtype=np.int32)}, "blend is -1"),
    ({"BLEND": np.array([65], dtype=np.int32)}, "blend is 65; expected 0 to 64 pixels"),
]


def test_bad_requests_give_an_error_each_and_the_others_are_answered(
    adapter: Any,
    pictures: dict[str, Array],
    label_maps: dict[str, Array],
    triton: Any,
    check_sentence: Sentence,
) -> None:
    good = pictures | label_maps
    given = [{**good, **change} for change, _ in BAD]
    bad = [{name: value for name, value in one.items() if value is not None} for one in given]
    *refused, answered = adapter.execute([triton.Request(inputs) for inputs in (*bad, good)])
    assert not answered.has_error()
    for response, (_, words) in zip(refused, BAD, strict=True):
        assert response.error().code() == triton.TritonError.INVALID_ARG, words
        assert words in response.error().message()
        check_sentence(response.error().message())


def test_limits_of_sides_and_memory(start: Start, pictures: dict[str, Array], triton: Any) -> None:
    for variable, limit, words in (
        ("MAX_SIDE", "24", "sides of at most 24"),
        ("MAX_MEMORY", "1000", "MB of memory"),
    ):
        model = start("wct2", **{variable: limit})
        (response,) = model.execute([triton.Request(pictures)])
        assert response.error().code() == triton.TritonError.INVALID_ARG
        assert words in response.error().message()
        start("wct2", **{variable: "100000000000"})


def test_weights_beside_the_adapter_take_the_place_of_the_built_in_ones(
    start: Start,
    arguments: Arguments,
    pictures: dict[str, Array],
    seeded_networks: Networks,
    triton: Any,
) -> None:
    networks, config = seeded_networks("sum"), model_configs("sum")["wct2"]
    folder = Path(arguments("wct2", config)["model_repository"])
    save_bundle(folder / "1" / contract.WEIGHTS_FILE, *networks)
    found = _image(start("wct2", config).execute([triton.Request(pictures)])[0])
    _check(found, pictures, [Pair(0, None)], NetworkEngine(*networks))


def _serve_levels(triton: Any, encoder: Encoder, decoder: Decoder) -> None:
    """Put the levels of the networks behind the fake server's calls, inputs checked."""

    def serve(level: EncoderLevel | DecoderLevel) -> None:
        spec = level.spec

        def run(inputs: dict[str, Array]) -> dict[str, Array]:
            assert list(inputs) == spec.input_names()
            for tensor in spec.inputs:
                assert inputs[tensor.name].shape[:2] == (1, tensor.dims[0])
                assert inputs[tensor.name].dtype == np.float32
                assert inputs[tensor.name].flags.c_contiguous
            with torch.inference_mode():
                outputs = level(*(torch.from_numpy(inputs[name]) for name in spec.input_names()))
            named = zip(spec.output_names(), outputs, strict=True)
            return {name: np.ascontiguousarray(value.numpy()) for name, value in named}

        triton.models[spec.name] = run

    for number in contract.LEVELS:
        serve(EncoderLevel(encoder, number))
        serve(DecoderLevel(decoder, number))


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_both_engines_give_the_same_numbers(
    unpool: Unpool, pictures: dict[str, Array], seeded_networks: Networks, triton: Any
) -> None:
    networks = seeded_networks(unpool)
    _serve_levels(triton, *networks)
    content, style = (_labelled(pictures, role) for role in ("CONTENT", "STYLE"))
    results = [
        transfer(content, style, [Pair(0, None)], engine)
        for engine in (BlsEngine(triton, unpool, depth=4), NetworkEngine(*networks))
    ]
    assert torch.equal(*results)
    levels = {spec.name for spec in contract.network_levels(unpool)}
    assert {name for name, _, _ in triton.calls} == levels


def test_tensors_of_a_gpu_go_from_model_to_model_as_they_are(
    pictures: dict[str, Array], builtin_networks: Networks, triton: Any, monkeypatch: Patch
) -> None:
    """The stand-in's GPU is memory of this process that cannot be read as an array."""
    networks = builtin_networks("cat5")
    _serve_levels(triton, *networks)
    triton.on_gpu |= set(triton.models)
    engine = BlsEngine(triton, "cat5", depth=4)
    monkeypatch.setattr(bls, "_is_on_cpu", lambda x: x.shape[1] == 3)
    content, style = (_labelled(pictures, role) for role in ("CONTENT", "STYLE"))
    found = transfer(content, style, [Pair(0, None)], engine)
    expected = transfer(content, style, [Pair(0, None)], NetworkEngine(*networks))
    assert torch.equal(found, expected)


def test_a_model_on_a_gpu_brings_arrays_to_the_cpu(triton: Any) -> None:
    array = np.ones((1, 512, 2, 2), dtype=np.float32)
    level = contract.decoder(1)
    triton.models[level.name] = lambda inputs: {"OUTPUT": inputs["FEATURES"] + 1}
    triton.on_gpu.add(level.name)
    found = call_model(triton, level, {"FEATURES": array})
    np.testing.assert_array_equal(found["OUTPUT"], array + 1)


@pytest.mark.parametrize("by", ["environment", "config"])
def test_the_engine_is_chosen_by_the_environment_or_the_config(
    by: str, start: Start, pictures: dict[str, Array], builtin_networks: Networks, triton: Any
) -> None:
    _serve_levels(triton, *builtin_networks("cat5"))
    if by == "config":
        model = start("wct2", model_configs()["wct2"].replace('"local"', '"bls"'))
    else:
        model = start("wct2", ENGINE="bls")
    found = _image(model.execute([triton.Request(pictures)])[0])
    assert len(triton.calls) == 4 + 3 + 8  # the style's levels, then the content's
    _check(found, pictures, [Pair(0, None)], NetworkEngine(*builtin_networks("cat5")))


def test_a_level_that_does_not_answer_fails_the_request_alone(
    start: Start, pictures: dict[str, Array], triton: Any
) -> None:
    with pytest.raises(ModelFailed, match="wct2_encoder_1"):
        BlsEngine(triton, "cat5", depth=4).encode(1, torch.zeros(1, 3, 16, 16))
    model = start("wct2", ENGINE="bls")
    (response,) = model.execute([triton.Request(pictures, "id-3")])
    assert response.error().code() == triton.TritonError.INTERNAL
    assert "no model" not in response.error().message()
    assert "id-3" in triton.errors[0]


def test_a_canary_leaves_no_trace(
    adapter: Any, pictures: dict[str, Array], triton: Any, monkeypatch: Patch
) -> None:
    ends: list[str] = []
    monkeypatch.setattr(adapter._freed, "after_request", lambda: ends.append("request"))
    for name in (contract.CANARY_ID, contract.CANARY_ID):
        (response,) = adapter.execute([triton.Request(pictures, name)])
        _image(response)
    assert adapter._cache.bytes == 0
    assert triton.MetricFamily.values("photoreal_style_cache_lookups_total") == {}
    assert not ends  # freed memory waits for people's requests
    adapter.execute([triton.Request(pictures)])
    assert adapter._cache.bytes > 0
    assert ends


@pytest.mark.parametrize(
    "words",
    [
        "Model wct2_encoder_1 - Error when running inference: Server not ready",
        "Request for unknown model: 'wct2_encoder_1' has no available versions",
    ],
    ids=["stopping", "unloaded"],
)
def test_unavailable_levels_make_the_model_unavailable(
    words: str, start: Start, pictures: dict[str, Array], triton: Any, check_sentence: Sentence
) -> None:
    triton.refusal = words
    model = start("wct2", ENGINE="bls")
    (response,) = model.execute([triton.Request(pictures)])
    assert response.error().code() == triton.TritonError.UNAVAILABLE
    check_sentence(response.error().message())
    assert triton.errors == []


@pytest.mark.parametrize(("old", "new"), [("local", "remote"), ("cat5", "max")])
def test_an_unknown_parameter_stops_the_model_from_loading(
    old: str, new: str, start: Start
) -> None:
    config = model_configs()["wct2"].replace(f'"{old}"', f'"{new}"')
    with pytest.raises(ServeError, match=f"'{new}' is not known; .*{old}"):
        start("wct2", config)
