"""The `onnxruntime` backend in Python on a small ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.kinds import Arguments, Array, Load, Patch
from tests.shared import check_sentence

CONFIG = """
name: "small"
backend: "onnxruntime"
max_batch_size: 4
FILE
input { name: "A" data_type: TYPE_FP32 dims: [-1] }
input { name: "B" data_type: TYPE_FP32 dims: [-1] }
output { name: "SUM" data_type: TYPE_FP32 dims: [-1] }
output { name: "DIFFERENCE" data_type: TYPE_FP32 dims: [-1] }
"""


def _write(path: Path) -> None:
    """A model of the sum and the difference of two lines; the order of outputs is reversed."""

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "length"])

    graph = helper.make_graph(
        [
            helper.make_node("Add", ["A", "B"], ["SUM"]),
            helper.make_node("Sub", ["A", "B"], ["DIFFERENCE"]),
        ],
        "small",
        [value("A"), value("B")],
        [value("DIFFERENCE"), value("SUM")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)


@pytest.fixture(params=["", 'default_model_filename: "other.onnx"'], ids=["default", "named"])
def backend(request: pytest.FixtureRequest, load_adapter: Load, arguments: Arguments) -> Any:
    given = arguments("small", CONFIG.replace("FILE", request.param))
    if not request.param:  # Triton's own JSON has every key
        given["model_config"] = given["model_config"][:-1] + ', "default_model_filename": ""}'
    name = "other.onnx" if request.param else "model.onnx"
    _write(Path(given["model_repository"]) / "1" / name)
    model = load_adapter("serve/backend/onnxruntime/model.py")
    model.initialize(given)
    return model


BOTH = ("SUM", "DIFFERENCE")


def _inputs(rows: int, length: int, other: int | None = None) -> dict[str, Array]:
    generator = np.random.default_rng(length)
    return {
        "A": generator.random((rows, length), dtype=np.float32),
        "B": generator.random((rows, other or length), dtype=np.float32),
    }


def test_requests_of_any_size_are_answered_in_order(backend: Any, triton: Any) -> None:
    given = [_inputs(1, 5), _inputs(3, 7), _inputs(1, 1)]
    responses = backend.execute([triton.Request(one, outputs=BOTH) for one in given])
    for response, one in zip(responses, given, strict=True):
        outputs = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        assert list(outputs) == ["SUM", "DIFFERENCE"]
        np.testing.assert_allclose(outputs["SUM"], one["A"] + one["B"])
        np.testing.assert_allclose(outputs["DIFFERENCE"], one["A"] - one["B"])


@pytest.mark.parametrize("asked", [["SUM"], ["DIFFERENCE"]], ids="".join)
def test_only_the_outputs_that_are_asked_for_are_computed(
    asked: list[str], backend: Any, triton: Any, monkeypatch: Patch
) -> None:
    computed: list[list[str]] = []
    session = backend._session

    class Session:
        def run(self, outputs: list[str], feed: dict[str, Array]) -> Any:
            computed.append(outputs)
            return session.run(outputs, feed)

    monkeypatch.setattr(backend, "_session", Session())
    given = _inputs(2, 3)
    (response,) = backend.execute([triton.Request(given, outputs=asked)])
    (tensor,) = response.output_tensors()
    assert [tensor.name()] == asked
    expected = given["A"] + given["B"] if asked == ["SUM"] else given["A"] - given["B"]
    np.testing.assert_allclose(tensor.as_numpy(), expected)
    assert computed == [asked]


@pytest.mark.parametrize(
    "bad",
    [_inputs(1, 5, other=4), {"A": np.zeros(5, np.float32), "B": np.zeros(5, np.float32)}],
    ids=["sizes that differ", "a dimension less"],
)
def test_one_bad_request_gives_one_error_and_the_others_are_answered(
    bad: dict[str, Array], backend: Any, triton: Any
) -> None:
    good = triton.Request(_inputs(1, 5), outputs=BOTH)
    responses = backend.execute([good, triton.Request(bad, "id-9", BOTH), good])
    assert [response.has_error() for response in responses] == [False, True, False]
    error = responses[1].error()
    assert error.code() == triton.TritonError.INVALID_ARG
    check_sentence(error.message())
    assert "id-9" in triton.errors[0]
