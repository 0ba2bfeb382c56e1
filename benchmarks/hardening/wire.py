"""Raw requests: tensors of any name, type, shape and bytes, over HTTP and gRPC.

A client library refuses to send most of the invalid requests that a server must handle.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.http import InferResult
from tritonclient.utils import serialize_byte_tensor, triton_to_np_dtype

from photoreal.contract import STYLIZE
from photoreal.serve.launch.launcher import Server

TIMEOUT_S = 60.0
"""Maximum time of the response to a tiny request, in seconds."""

PICTURE = "OK"
REFUSED = "INVALID_ARGUMENT"

_HEADER_LENGTH = "Inference-Header-Content-Length"
_STATUS = {200: PICTURE, 400: REFUSED}


@dataclass(frozen=True)
class Tensor:
    """One input as declared, and its bytes, which may not match."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class Answer:
    """A response: ``status`` is OK, INVALID_ARGUMENT or another word or number."""

    status: str
    message: str = ""
    outputs: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def tensors(**values: Any) -> list[Tensor]:
    """Build inputs of `stylize` from Python values, by lower-case names; None is left out."""
    made = []
    for spec in STYLIZE.inputs:
        value = values.get(spec.name.lower())
        if value is None:
            continue
        array = np.array([value], dtype=triton_to_np_dtype(spec.dtype))
        data = serialize_byte_tensor(array).item() if spec.dtype == "BYTES" else array.tobytes()
        shape = tuple(abs(size) for size in spec.dims)  # -1 (any number) becomes 1
        made.append(Tensor(spec.name, spec.dtype, shape, data))
    return made


def over_http(server: Server, sent: Sequence[Tensor]) -> Answer:
    """Send inputs to `stylize` in Triton's binary extension; raises OSError without a response."""
    inputs = [
        {"name": one.name, "datatype": one.dtype, "shape": list(one.shape)}
        | {"parameters": {"binary_data_size": len(one.data)}}
        for one in sent
    ]
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    body = header + b"".join(one.data for one in sent)
    path = f"/v2/models/{STYLIZE.name}/infer"
    with closing(http.client.HTTPConnection(server.http_url, timeout=TIMEOUT_S)) as connection:
        try:
            connection.request("POST", path, body, {_HEADER_LENGTH: str(len(header))})
            response = connection.getresponse()
            content = response.read()
        except http.client.HTTPException as error:
            raise OSError(f"no answer over HTTP: {error!r}") from error
    status = _STATUS.get(response.status, str(response.status))
    if status != PICTURE:
        return Answer(status, str(json.loads(content)["error"]))
    found = InferResult.from_response_body(
        content, header_length=int(response.headers[_HEADER_LENGTH])
    )
    names = [one["name"] for one in found.get_response()["outputs"]]
    return Answer(status, outputs={name: found.as_numpy(name)[0] for name in names})


def over_grpc(server: Server, sent: Sequence[Tensor]) -> Answer:
    """Send inputs to `stylize` as raw contents; raises OSError without a response."""
    request = service_pb2.ModelInferRequest(model_name=STYLIZE.name)
    for one in sent:
        request.inputs.add(name=one.name, datatype=one.dtype, shape=list(one.shape))
        request.raw_input_contents.append(one.data)
    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        try:
            response = stub.ModelInfer(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            code, words = error.code().name, str(error.details())
            if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                raise OSError(f"no answer over gRPC: {code}, {words}") from error
            return Answer(code, words)
    raw = response.raw_output_contents
    outputs = {one.name: data[4:] for one, data in zip(response.outputs, raw, strict=True)}
    return Answer(PICTURE, outputs=outputs)
