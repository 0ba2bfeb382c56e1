"""Requests that are refused: each with 400, a sentence, and a server that goes on.

Every kind of bad file and option is tried without a server, in `tests/unit/preprocess` and
`tests/unit/pipeline`; here a few of each travel through it.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tritonclient.utils import InferenceServerException

from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import BAD_REQUEST
from tests.kinds import Call, Refused
from tests.shared import encoded
from tests.unit.preprocess.files import raw_png

pytestmark = pytest.mark.server

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
PHOTO = Image.fromarray(PIXELS)


GOOD, JPEG = encoded(PHOTO), encoded(PHOTO, "JPEG")
LABELS = Image.fromarray((PIXELS[..., 0] // 128).astype(np.uint8))
MASK = encoded(LABELS)
COLORS = encoded(Image.fromarray(np.where(PIXELS > 127, 255, 0).astype(np.uint8)))
PAGES = {"save_all": True, "append_images": [LABELS.convert("RGB")]}
LONG = encoded(Image.new("L", (8, 20_000), 99))
TWO = np.array([b"a", b"b"], dtype=np.object_)

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"content": b"This is no image."}, "The content photo is not an image"),
    "empty": ({"style": b""}, "The style photo is empty"),
    "truncated JPEG": ({"content": JPEG[: len(JPEG) // 2]}, "truncated or damaged"),
    "header of 60000x60000": ({"style": raw_png(60000, 60000, 8, 2, bytes(1000))}, "pixels"),
    "EPS": ({"content": encoded(PHOTO, "EPS")}, "not an image"),
    "animated WebP": ({"style": encoded(PHOTO, "WEBP", **PAGES)}, "several frames or pages"),
    "8x300000": ({"content": encoded(Image.new("L", (8, 300_000), 99))}, "long and narrow"),
    "enlarged too far": (
        {"style": LONG, "method": "published", "size": None},
        "a size of up to 40 fits",
    ),
    "missing photo": ({"content": None}, "The input CONTENT is missing"),
    "one mask": ({"content_mask": MASK}, "no style mask"),
    "mask of another size": (
        {"content_mask": encoded(LABELS.resize((40, 48))), "style_mask": MASK},
        "40x48",
    ),
    "labels and colors": ({"content_mask": MASK, "style_mask": COLORS}, "same kind"),
    "alpha": ({"alpha": float("nan")}, "alpha is nan"),
    "size": ({"size": 2**31 - 1}, "size is 2147483647"),
    "place in no UTF-8": ({"transfer_at": b"\xff\xfe"}, "UTF-8"),
    "long word": ({"match": "x" * 100_000}, "match is 'xxx"),
}


@pytest.mark.parametrize("case", BAD)
def test_stylize_refuses(local: Server, refused: Refused, tensors: Call, case: str) -> None:
    changes, words = BAD[case]
    given = {"content": GOOD, "style": GOOD, "size": 16, **changes}
    given = {name: value for name, value in given.items() if value is not None}
    sentence = refused(local, "stylize", tensors(**given))
    assert words in sentence
    assert len(sentence) < 300


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
    local: Server, call: Call, tensors: Call, case: str, protocol: str
) -> None:
    changes, words = BAD_TENSORS[case]
    inputs = tensors(content=GOOD, style=GOOD, size=16) | changes
    with pytest.raises(InferenceServerException, match=words) as caught:
        call(local, "stylize", inputs, protocol)
    assert caught.value.status() == BAD_REQUEST[protocol]


def test_malformed_bodies_get_an_error(local: Server, check_alive: Any) -> None:
    without_data = {"name": "CONTENT", "shape": [1], "datatype": "BYTES"}
    announced = without_data | {"parameters": {"binary_data_size": 1_000_000}}
    objects = [[], {}, *({"inputs": one} for one in ("CONTENT", [without_data], [announced]))]
    texts = [json.dumps(one).encode() for one in objects]
    for body in (b"{this is no JSON", b"", b"\xff\x00\xfe", *texts):
        url = f"http://{local.http_url}/v2/models/stylize/infer"
        request = urllib.request.Request(url, data=body, method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(request):  # noqa: S310
            pass
        with caught.value as error:
            assert error.code in (400, 500), body
            assert b"Traceback" not in error.read()
    check_alive(local)
