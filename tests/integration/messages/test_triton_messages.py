"""Every text of Triton that control flow depends on, provoked on the real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tritonclient.grpc
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors
from tritonclient.utils import InferenceServerException

from photoreal.triton_messages import OTHERS, TRITON, Condition

pytestmark = pytest.mark.server

OTHER_CONDITIONS = {Condition.OUT_OF_MEMORY}  # Triton's backends report it


def _without_key(triton: Any) -> str:
    url = f"127.0.0.1:{triton.settings.grpc_port}"
    target = tritonclient.grpc.InferInput("TARGET", [1], "BYTES")
    with (
        tritonclient.grpc.InferenceServerClient(url) as client,
        pytest.raises(InferenceServerException) as caught,
    ):
        client.infer("called", [target])
    assert caught.value.status() == "StatusCode.UNAVAILABLE"
    return str(caught.value.message())


def _at_warm_up(triton: Any) -> str:
    (line,) = (one for one in triton.log.read_text().splitlines() if one.startswith("Warm-up: "))
    return str(line)


def _invalid_field(triton: Any) -> str:
    status, message = triton.post("models/called/infer", {"inputs": 3})
    assert status == 500
    return str(message)


def _call_of_unknown_model(triton: Any) -> str:
    status, message = triton.infer("caller", "nothing")
    assert status == 200
    return str(message)


def _unload(triton: Any) -> None:
    assert triton.post("repository/models/called/unload", {})[0] == 200


def _call_of_unloaded_model(triton: Any) -> str:
    _unload(triton)
    status, message = triton.infer("caller", "called")
    assert status == 200
    return str(message)


def _unloaded(triton: Any) -> str:
    _unload(triton)
    status, message = triton.infer("called", "InvalidOption")
    assert status == 404
    return str(message)


def _call_of_dead_model(triton: Any) -> str:
    triton.kill_model("called")
    status, message = triton.infer("caller", "called")
    assert status == 200
    return str(message)


def _dead(triton: Any) -> str:
    triton.kill_model("called")
    status, message = triton.infer("called", "InvalidOption")
    assert status == 500
    return str(message)


PROVOKED = [
    (Condition.KEY_REQUIRED, _without_key),
    (Condition.SERVER_NOT_READY, _at_warm_up),
    (Condition.INVALID_FIELD, _invalid_field),
    (Condition.MODEL_NOT_READY, _call_of_unknown_model),
    (Condition.MODEL_NOT_READY, _call_of_unloaded_model),
    (Condition.MODEL_UNLOADED, _unloaded),
    (Condition.PROCESS_DIED, _call_of_dead_model),
    (Condition.PROCESS_DIED, _dead),
]


def test_the_table_has_this_version_and_every_condition_is_provoked(triton: Any) -> None:
    assert set(TRITON[triton.version()]) == {condition for condition, _ in PROVOKED}
    assert set(TRITON[triton.version()]) == set(Condition) - OTHER_CONDITIONS


@pytest.mark.parametrize(
    ("condition", "provoke"), PROVOKED, ids=[provoke.__name__[1:] for _, provoke in PROVOKED]
)
def test_the_server_reports_it_in_these_words(
    condition: Condition, provoke: Callable[[Any], str], triton: Any
) -> None:
    table = TRITON[triton.version()]
    message = provoke(triton)
    assert [one for one, text in table.items() if text in message] == [condition], message
    if provoke in (_call_of_unloaded_model, _unloaded, _call_of_dead_model, _dead):
        triton.reload("called")


def test_onnx_runtime_reports_that_memory_is_lacking() -> None:
    sizes = onnx.helper.make_tensor_value_info("sizes", onnx.TensorProto.INT64, [1])
    zeros = onnx.helper.make_tensor_value_info("zeros", onnx.TensorProto.FLOAT, [None])
    node = onnx.helper.make_node("ConstantOfShape", ["sizes"], ["zeros"])
    graph = onnx.helper.make_graph([node], "zeros", [sizes], [zeros])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    with pytest.raises(onnxruntime_errors.Fail) as caught:
        session.run(None, {"sizes": np.array([1 << 50])})
    table = OTHERS[f"ONNX Runtime {onnxruntime.__version__}"]
    assert table[Condition.OUT_OF_MEMORY] in str(caught.value)
