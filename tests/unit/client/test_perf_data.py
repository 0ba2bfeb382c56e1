"""The file for perf_analyzer holds the requests that the client sends."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from photoreal import Pipeline
from photoreal.cli import main
from photoreal.client._transport.inputs import build_inputs
from photoreal.client.perf_data.requests import perf_data, segmenter_request, stylize_requests
from photoreal.contract import SEGMENTER, STYLIZE, WCT2

from .conftest import LABELS, PHOTO, png

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = {"content": png(PHOTO), "style": png(PHOTO[::-1].copy())}
MASKS = {"content_mask": png(LABELS), "style_mask": png(LABELS)}


def read_back(text):
    """The tensors in the JSON, as perf_analyzer sends them."""
    types = {spec.name: spec.dtype for spec in (*STYLIZE.inputs, *SEGMENTER.inputs)}

    def tensor(name, described):
        raw = base64.b64decode(described["content"]["b64"])
        if types[name] == "BYTES":
            return deserialize_bytes_tensor(raw).reshape(described["shape"])
        values = np.frombuffer(raw, triton_to_np_dtype(types[name]))
        return values.reshape(described["shape"])

    return [
        {name: tensor(name, described) for name, described in request.items()}
        for request in json.loads(text)["data"]
    ]


def same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        assert tensor.dtype == theirs[name].dtype
        np.testing.assert_array_equal(tensor, theirs[name])


def test_a_request_is_the_client_s():
    options = {"size": 64, "alpha": 0.5, "segment": False, "method": "color", "metadata": True}
    (found,) = read_back(perf_data(stylize_requests({**FILES, **MASKS}, **options)))
    same(found, build_inputs(**FILES, **MASKS, **options))


def test_every_request_has_a_new_style_and_gives_the_same_picture():
    """One that the server has not seen: the keys of its caches are of the files' bytes."""
    pipeline = Pipeline(device="cpu", segmenter=None)
    style = (EXAMPLES / "rendered" / "dusk.jpg").read_bytes()
    files = {"content": png(np.tile(PHOTO, (8, 8, 1))), "style": style}
    requests = read_back(perf_data(stylize_requests(files, 3, size=16, method="color")))
    assert len({one["STYLE"].item() for one in requests}) == 3
    assert all(one["STYLE"].item().startswith(style) for one in requests)
    pictures = {pipeline.transport.infer(one, ["IMAGE"])["IMAGE"].item() for one in requests}
    assert len(pictures) == 1


def test_the_segmenter_takes_a_photo_at_a_size():
    photo = (EXAMPLES / "photos" / "china.jpg").read_bytes()
    (found,) = read_back(perf_data([segmenter_request(photo, 48)]))
    (image,) = found.values()
    assert image.dtype == np.float32
    assert image.shape == (3, 48, 72)
    assert 0 <= image.min() < 0.1 < 0.9 < image.max() <= 1


def test_the_documented_profile_names_the_models():
    page = (EXAMPLES.parent / "docs" / "perf-analyzer.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    profile = yaml.safe_load(block)
    assert profile["profile_models"] == [STYLIZE.name]
    called = profile["bls_composing_models"].split(",")
    assert sorted(called) == sorted([SEGMENTER.name, WCT2.name])


class TestCommand:
    def test_files_and_options(self, photo_file, tmp_path, capsys):
        out = tmp_path / "requests.json"
        call = ["perf-data", str(photo_file), str(photo_file), "-o", str(out), "--size", "64"]
        assert main([*call, "--method", "color", "--requests", "2"]) == 0
        first, second = read_back(out.read_text())
        same(first, build_inputs(content=png(PHOTO), style=png(PHOTO), size=64, method="color"))
        assert second["STYLE"].item() != first["STYLE"].item()
        assert "2 requests to stylize, " in capsys.readouterr().out

    @pytest.mark.parametrize("model", ["stylize", "segmenter"])
    def test_example_photos(self, model, tmp_path):
        out = tmp_path / "requests.json"
        assert main(["perf-data", "-o", str(out), "--size", "32", "--model", model]) == 0
        (found,) = read_back(out.read_text())
        spec = STYLIZE if model == "stylize" else SEGMENTER
        assert {one.name for one in spec.inputs if not one.optional} <= set(found)
        assert set(found) <= set(spec.input_names())

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["none.jpg"], "none.jpg"),
            (["--model", "segmenter", "--method", "color"], "expected nothing else"),
            (["--model", "segmenter", "--requests", "2"], "expected nothing else"),
            (["-o", "none/out.json"], "does not exist"),
            (["--requests", "0"], "--requests"),
        ],
    )
    def test_wrong_calls(self, arguments, words, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(["perf-data", "-o", "out.json", *arguments]) == 2
        assert words in capsys.readouterr().err
        assert not list(tmp_path.iterdir())
