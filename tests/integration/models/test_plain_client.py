"""The documented contract, typed by hand: NVIDIA's client alone calls `stylize`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from PIL import Image

from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_stylize_without_the_projects_client(local: Server, protocol: str) -> None:
    triton: Any = tritonclient.http if protocol == "http" else tritonclient.grpc
    url = local.http_url if protocol == "http" else local.grpc_url
    values = [
        ("CONTENT", "BYTES", (EXAMPLES / "photos/china.jpg").read_bytes()),
        ("STYLE", "BYTES", (EXAMPLES / "rendered/dusk.jpg").read_bytes()),
        ("CONTENT_MASK", "BYTES", (EXAMPLES / "photos/china_mask.png").read_bytes()),
        ("STYLE_MASK", "BYTES", (EXAMPLES / "rendered/dusk_mask.png").read_bytes()),
        ("ALPHA", "FP32", 0.8),
        ("SIZE", "INT32", 48),
        ("TRANSFER_AT", "BYTES", b"encoder,skip"),
        ("SEGMENT", "BOOL", True),
        ("MATCH", "BYTES", b"nearest"),
        ("METHOD", "BYTES", b"wct2"),
        ("COLOR_STRENGTH", "FP32", 0.9),
        ("WCT2_STRENGTH", "FP32", 0.5),
        ("OUTPUT_SIZE", "INT32", 200),
        ("MASK_EDGES", "BOOL", False),
    ]
    kinds = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32, "BOOL": np.bool_}
    inputs = []
    for name, datatype, value in values:
        tensor = triton.InferInput(name, [1], datatype)
        tensor.set_data_from_numpy(np.array([value], dtype=kinds[datatype]))
        inputs.append(tensor)
    with triton.InferenceServerClient(url) as client:
        assert client.is_model_ready("stylize")
        answer = client.infer("stylize", inputs)
    with Image.open(io.BytesIO(answer.as_numpy("IMAGE")[0])) as image:
        assert (image.format, image.size) == ("PNG", (300, 200))
    for name, size in (("CONTENT_LABELS", (640, 427)), ("STYLE_LABELS", (768, 512))):
        with Image.open(io.BytesIO(answer.as_numpy(name)[0])) as labels:
            assert (labels.format, labels.mode, labels.size) == ("PNG", "L", size)
    report = json.loads(answer.as_numpy("REPORT")[0])
    assert (report["regions"], report["match"]) == ("masks", "nearest")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_metadata_names_the_tensors(local: Server, protocol: str) -> None:
    triton: Any = tritonclient.http if protocol == "http" else tritonclient.grpc
    if protocol == "http":
        with triton.InferenceServerClient(local.http_url) as client:
            metadata = client.get_model_metadata("stylize")
    else:
        with triton.InferenceServerClient(local.grpc_url) as client:
            metadata = client.get_model_metadata("stylize", as_json=True)
    inputs = {one["name"]: one["datatype"] for one in metadata["inputs"]}
    assert inputs == {
        "CONTENT": "BYTES",
        "STYLE": "BYTES",
        "CONTENT_MASK": "BYTES",
        "STYLE_MASK": "BYTES",
        "STYLE_WEIGHTS": "FP32",
        "ALPHA": "FP32",
        "METHOD": "BYTES",
        "COLOR_STRENGTH": "FP32",
        "WCT2_STRENGTH": "FP32",
        "SIZE": "INT32",
        "OUTPUT_SIZE": "INT32",
        "FORMAT": "BYTES",
        "BIT_DEPTH": "INT32",
        "METADATA": "BOOL",
        "TRANSFER_AT": "BYTES",
        "SEGMENT": "BOOL",
        "MATCH": "BYTES",
        "BLEND": "INT32",
        "MASK_EDGES": "BOOL",
        "SEQUENCE": "BYTES",
        "STEADY": "FP32",
        "PAIRS": "INT32",
    }
    outputs = {one["name"]: one["datatype"] for one in metadata["outputs"]}
    assert outputs == dict.fromkeys(["IMAGE", "CONTENT_LABELS", "STYLE_LABELS", "REPORT"], "BYTES")
