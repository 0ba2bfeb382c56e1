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

from photoreal.contract import STYLIZE
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

EXAMPLES = Path(__file__).parents[3] / "examples"
KINDS = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32, "BOOL": np.bool_}
DATATYPES = {
    "BYTES": "CONTENT STYLE CONTENT_MASK STYLE_MASK METHOD FORMAT TRANSFER_AT MATCH SEQUENCE",
    "FP32": "STYLE_WEIGHTS ALPHA COLOR_STRENGTH WCT2_STRENGTH STEADY",
    "INT32": "SIZE OUTPUT_SIZE BIT_DEPTH BLEND PAIRS",
    "BOOL": "METADATA SEGMENT MASK_EDGES",
}
VALUES = {
    "CONTENT": (EXAMPLES / "photos/china.jpg").read_bytes(),
    "STYLE": (EXAMPLES / "rendered/dusk.jpg").read_bytes(),
    "CONTENT_MASK": (EXAMPLES / "photos/china_mask.png").read_bytes(),
    "STYLE_MASK": (EXAMPLES / "rendered/dusk_mask.png").read_bytes(),
    "ALPHA": 0.8,
    "SIZE": 48,
    "TRANSFER_AT": b"encoder,skip",
    "SEGMENT": True,
    "MATCH": b"nearest",
    "METHOD": b"wct2",
    "COLOR_STRENGTH": 0.9,
    "WCT2_STRENGTH": 0.5,
    "OUTPUT_SIZE": 200,
    "MASK_EDGES": False,
}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_stylize_without_the_projects_client(local: Server, protocol: str) -> None:
    triton: Any = tritonclient.http if protocol == "http" else tritonclient.grpc
    url = local.http_url if protocol == "http" else local.grpc_url
    datatypes = {name: kind for kind, names in DATATYPES.items() for name in names.split()}
    inputs = []
    for name, value in VALUES.items():
        inputs.append(triton.InferInput(name, [1], datatypes[name]))
        inputs[-1].set_data_from_numpy(np.array([value], dtype=KINDS[datatypes[name]]))
    with triton.InferenceServerClient(url) as client:
        assert client.is_model_ready("stylize")
        answer = client.infer("stylize", inputs)
        how = {} if protocol == "http" else {"as_json": True}
        metadata = client.get_model_metadata("stylize", **how)
    with Image.open(io.BytesIO(answer.as_numpy("IMAGE")[0])) as image:
        assert (image.format, image.size) == ("JPEG", (300, 200))  # the content is one
    for name, size in (("CONTENT_LABELS", (640, 427)), ("STYLE_LABELS", (768, 512))):
        with Image.open(io.BytesIO(answer.as_numpy(name)[0])) as labels:
            assert (labels.format, labels.mode, labels.size) == ("PNG", "L", size)
    report = json.loads(answer.as_numpy("REPORT")[0])
    assert (report["regions"], report["match"]) == ("masks", "nearest")
    assert {one["name"]: one["datatype"] for one in metadata["inputs"]} == datatypes
    assert {one["name"]: one["datatype"] for one in metadata["outputs"]} == dict.fromkeys(
        STYLIZE.output_names(), "BYTES"
    )
