"""The adapter of `stylize`: tensors in, calls of other models, tensors out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from photoreal.contract import SEGMENTER, STYLIZE, WCT2, ModelSpec
from photoreal.pipeline.wct2.soft_inputs import NAMES as SOFT
from photoreal.preprocess import Limits, decode_photo
from tests.kinds import Arguments, Array
from tests.shared import check_sentence, encoded, photo

NUMPY_TYPES = {"FP32": np.float32, "UINT8": np.uint8, "INT32": np.int32, "BYTES": np.object_}


def _text(value: str | bytes) -> Array:
    return np.array([value.encode() if isinstance(value, str) else value], dtype=object)


PUBLISHED = {"METHOD": _text("published")}


@pytest.fixture
def adapter(stylize: Any) -> Any:
    """The adapter in a repository without a segmenter."""
    return stylize


@pytest.fixture
def adapter_with_segmenter(
    adapter: Any, arguments: Arguments, add_segmenter: Callable[[Sequence[str]], None], triton: Any
) -> Any:
    """The same in a repository with a segmenter of two classes: sky above, trees below."""

    def segment(inputs: dict[str, Array]) -> dict[str, Array]:
        probabilities = np.zeros((1, 2, 2, 3), dtype=np.float32)
        probabilities[0, 0, 0] = probabilities[0, 1, 1] = 1
        return {"PROBABILITIES": probabilities}

    triton.models["segmenter"] = segment
    add_segmenter(("sky", "tree"))
    adapter.finalize()  # ends the threads of the first queue
    adapter.initialize(arguments("stylize"))
    return adapter


def _outputs(response: Any) -> dict[str, Array]:
    assert not response.has_error(), response.error().message()
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def test_outputs_are_those_of_the_contract(
    adapter: Any, photos: dict[str, Array], triton: Any
) -> None:
    (response,) = adapter.execute([triton.Request(photos)])
    outputs = _outputs(response)
    assert list(outputs) == STYLIZE.output_names()
    for value in outputs.values():
        assert value.shape == (1,)
        assert value.dtype == np.object_
        assert isinstance(value[0], bytes)
    image = decode_photo(outputs["IMAGE"][0], "result", Limits())
    assert image.shape == (16, 24, 3)
    given = photos | PUBLISHED
    outputs = _outputs(adapter.execute([triton.Request(given)])[0])
    image = decode_photo(outputs["IMAGE"][0], "result", Limits())
    np.testing.assert_array_equal(image, photo(16, 24, seed=1))
    assert json.loads(outputs["REPORT"][0])["regions"] == "whole"


def test_calls_of_other_models_fit_their_contract(
    adapter_with_segmenter: Any, photos: dict[str, Array], triton: Any
) -> None:
    styles = [photos["STYLE"], _text(encoded(photo(16, 20, seed=3)))]
    options = {
        "STYLE": np.concatenate(styles),
        "STYLE_WEIGHTS": np.array([1, 3], dtype=np.float32),
        "SEQUENCE": _text("shot"),
        "STEADY": np.array([0.5], dtype=np.float32),
        "ALPHA": np.array([0.5], dtype=np.float32),
        "TRANSFER_AT": _text("skip"),
        "SEGMENT": np.array([True]),
        "MATCH": _text("nearest"),
        "BLEND": np.array([5], dtype=np.int32),
    } | PUBLISHED
    (response,) = adapter_with_segmenter.execute([triton.Request(photos | options, "abc")])
    _outputs(response)
    assert [name for name, _, _ in triton.calls] == ["segmenter"] * 3 + ["wct2"]
    assert triton.asked[:3] == [["PROBABILITIES"]] * 3  # labels are not worth the work
    assert {request_id for _, _, request_id in triton.calls} == {"abc"}
    for (_, inputs, _), model in zip(triton.calls, (SEGMENTER,) * 3 + (WCT2,), strict=True):
        _check_contract(inputs, model)
        assert set(inputs) == set(model.input_names()) - set(SOFT)
    sent = triton.calls[-1][1]
    assert sent["PAIRS"].tolist() == [[1, 1, 1], [2, 2, 2]]  # sky and vegetation
    assert sent["STYLE"].shape == (3, 20, 36)
    assert sent["STYLE_SIZES"].tolist() == [[20, 16], [16, 20]]
    assert sent["STYLE_WEIGHTS"].tolist() == [0.25, 0.75]
    assert sent["SEQUENCE"].tolist() == [b"shot"]
    assert sent["STEADY"].tolist() == [0.5]
    assert sent["ALPHA"].tolist() == [0.5]
    assert sent["TRANSFER_AT"].tolist() == [b"skip"]
    assert sent["BLEND"].tolist() == [5]


def _check_contract(inputs: dict[str, Array], model: ModelSpec) -> None:
    specs = {spec.name: spec for spec in model.inputs}
    for name, value in inputs.items():
        spec = specs[name]
        shape = value.shape[1:] if model.max_batch_size else value.shape
        assert value.dtype == NUMPY_TYPES[spec.dtype]
        assert len(shape) == len(spec.dims)
        assert all(d in (-1, size) for d, size in zip(spec.dims, shape, strict=True))


def test_pairs_are_sent_with_minus_one_for_the_whole_photo(
    adapter_with_segmenter: Any, photos: dict[str, Array], triton: Any
) -> None:
    for given, sent in (
        ({"PAIRS": np.array([[1, 2], [2, -1]], dtype=np.int32)}, [[1, 2], [2, -1]]),
        ({"SEGMENT": np.array([False])}, [[0, -1]]),
    ):
        _outputs(adapter_with_segmenter.execute([triton.Request(photos | given | PUBLISHED)])[0])
        assert triton.calls[-1][1]["PAIRS"].tolist() == sent


def test_no_pairs_are_sent_as_an_empty_table(
    adapter: Any, photos: dict[str, Array], triton: Any
) -> None:
    masks = {
        "CONTENT_MASK": _text(encoded(np.full((16, 24), 1, dtype=np.uint8))),
        "STYLE_MASK": _text(encoded(np.full((20, 16), 2, dtype=np.uint8))),
    }
    outputs = _outputs(adapter.execute([triton.Request(photos | masks | PUBLISHED)])[0])
    assert triton.calls[0][1]["PAIRS"].shape == (0, 2)
    assert json.loads(outputs["REPORT"][0])["unstyled"] == [1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ALPHA": np.array([np.nan], dtype=np.float32)}, "alpha is nan"),
        ({"TRANSFER_AT": _text(b"\xff\xfe")}, "not valid UTF-8"),
        ({"CONTENT": _text(b"nonsense")}, "content photo is not an image"),
        ({"STYLE": None}, "The input STYLE is missing"),
        ({"STYLE_MASK": _text(b"nonsense")}, "no content mask"),
    ],
)
def test_one_bad_request_gives_one_error_and_the_others_are_answered(
    change: dict[str, Array | None], words: str, adapter: Any, photos: dict[str, Array], triton: Any
) -> None:
    bad = {name: value for name, value in (photos | change).items() if value is not None}
    requests = [triton.Request(photos), triton.Request(bad, "bad"), triton.Request(photos)]
    responses = adapter.execute(requests)
    assert [response.has_error() for response in responses] == [False, True, False]
    error = responses[1].error()
    assert error.code() == triton.TritonError.INVALID_ARG
    assert words in error.message()
    check_sentence(error.message())
    assert not triton.errors  # what a caller did wrong is no error of the server


@pytest.mark.parametrize("failure", ["raises", "answers with an error"])
def test_an_internal_error_is_logged_and_hidden_from_the_caller(
    failure: str, adapter: Any, photos: dict[str, Array], triton: Any
) -> None:
    works = triton.models["wct2"]

    def fails_once(inputs: dict[str, Array]) -> dict[str, Array]:
        if len(triton.calls) == 1:
            raise RuntimeError("the secret of /srv/models")
        return dict(works(inputs))

    if failure == "raises":
        triton.models["wct2"] = fails_once
    else:
        del triton.models["wct2"]
    responses = adapter.execute([triton.Request(photos, "id-17"), triton.Request(photos)])
    assert [response.has_error() for response in responses] == [True, failure != "raises"]
    error = responses[0].error()
    assert error.code() == triton.TritonError.INTERNAL
    assert "srv" not in error.message()
    check_sentence(error.message())
    assert "id-17" in triton.errors[0]
    assert "Traceback" in triton.errors[0]
    assert "/srv" in triton.errors[0]


def test_a_model_that_lost_its_process_asks_to_come_again(
    adapter: Any, photos: dict[str, Array], triton: Any
) -> None:
    triton.dead.add("wct2")
    (response,) = adapter.execute([triton.Request(photos, "id-17")])
    assert response.error().code() == triton.TritonError.UNAVAILABLE
    check_sentence(response.error().message())
    assert "model wct2 is not running" in response.error().message()
    assert "id-17" in triton.warnings[0]


def test_a_request_without_an_id_is_logged_as_such(
    adapter: Any, photos: dict[str, Array], triton: Any
) -> None:
    triton.models.clear()
    adapter.execute([triton.Request(photos)])
    assert "stylize: request without-id: " in triton.errors[0]
