"""Options and requests that are refused, and bytes that are no request at all."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tritonclient.utils import InferenceServerException

from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

Arrays = dict[str, npt.NDArray[Any]]
Photo = Callable[..., npt.NDArray[np.uint8]]

BAD_OPTIONS: list[tuple[str, Any, str]] = [
    ("alpha", -0.1, "alpha is -0.1"),
    ("alpha", 1.5, "alpha is 1.5"),
    ("alpha", float("nan"), "alpha is nan"),
    ("alpha", float("inf"), "alpha is inf"),
    ("alpha", float("-inf"), "alpha is -inf"),
    ("size", 15, "size is 15"),
    ("size", 0, "size is 0"),
    ("size", -1, "size is -1"),
    ("size", 2049, "size is 2049"),
    ("size", 2**31 - 1, "size is 2147483647"),
    ("transfer_at", "encoder,moon", "transfer_at is 'encoder,moon'"),
    ("transfer_at", "", "transfer_at is ''"),
    ("transfer_at", ",", "transfer_at is ','"),
    ("transfer_at", b"\xff\xfe", "UTF-8"),
    ("match", "closest", "match is 'closest'"),
    ("match", "", "match is ''"),
    ("match", "x" * 100_000, "match is 'xxx"),
    ("blend", -1, "blend is -1; expected 0 to 64 pixels."),
    ("blend", 65, "blend is 65; expected 0 to 64 pixels."),
    ("blend", 2**31 - 1, "blend is 2147483647"),
]


@pytest.fixture(scope="module")
def good(photo: Photo, encoded: Callable[..., bytes]) -> dict[str, Any]:
    return {"content": encoded(photo(32, 40)), "style": encoded(photo(32, 40, 1)), "size": 16}


@pytest.mark.parametrize(("name", "value", "words"), BAD_OPTIONS, ids=lambda value: str(value)[:20])
def test_option_is_refused(
    local: Server,
    refused: Callable[..., str],
    tensors: Callable[..., Arrays],
    good: dict[str, Any],
    name: str,
    value: Any,
    words: str,
) -> None:
    sentence = refused(local, "stylize", tensors(**{**good, name: value}))
    assert words in sentence
    assert len(sentence) < 300


@pytest.mark.parametrize("missing", ["CONTENT", "STYLE"])
def test_missing_photo_is_refused(
    local: Server,
    refused: Callable[..., str],
    tensors: Callable[..., Arrays],
    good: dict[str, Any],
    missing: str,
) -> None:
    inputs = tensors(**good, match="nearest")
    del inputs[missing]
    assert f"The input {missing} is missing" in refused(local, "stylize", inputs)


TWO = np.array([b"a", b"b"], dtype=np.object_)
# What Triton itself refuses, in its own words.
BAD_TENSORS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown name": ({"STRENGTH": np.array([1.0], dtype=np.float32)}, "STRENGTH"),
    "type": ({"ALPHA": np.array([1], dtype=np.int32)}, "FP32"),
    "shape": ({"CONTENT": TWO}, "CONTENT"),
    "rank": ({"SIZE": np.array([[16]], dtype=np.int32)}, "SIZE"),
}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("case", BAD_TENSORS)
def test_tensor_outside_the_contract_is_refused(
    local: Server,
    call: Callable[..., Arrays],
    check_alive: Callable[[Server], None],
    tensors: Callable[..., Arrays],
    good: dict[str, Any],
    case: str,
    protocol: str,
) -> None:
    changes, words = BAD_TENSORS[case]
    with pytest.raises(InferenceServerException, match=words) as caught:
        call(local, "stylize", tensors(**good) | changes, protocol)
    status = "400" if protocol == "http" else "StatusCode.INVALID_ARGUMENT"
    assert caught.value.status() == status
    check_alive(local)


BAD_BODIES: dict[str, bytes] = {
    "no JSON": b"{this is no JSON",
    "nothing": b"",
    "a list": b"[]",
    "no inputs": b"{}",
    "bytes that are no text": b"\xff\x00\xfe",
    "inputs of another kind": json.dumps({"inputs": "CONTENT"}).encode(),
    "no data": json.dumps(
        {"inputs": [{"name": "CONTENT", "shape": [1], "datatype": "BYTES"}]}
    ).encode(),
    "more data announced than sent": json.dumps(
        {
            "inputs": [
                {
                    "name": "CONTENT",
                    "shape": [1],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": 1_000_000},
                }
            ]
        }
    ).encode(),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_malformed_body_gets_an_error(
    local: Server, check_alive: Callable[[Server], None], case: str
) -> None:
    url = f"http://{local.http_url}/v2/models/stylize/infer"
    request = urllib.request.Request(url, data=BAD_BODIES[case], method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request):  # noqa: S310
        pass
    with caught.value as error:
        assert error.code in (400, 500)
        assert b"Traceback" not in error.read()
    check_alive(local)
