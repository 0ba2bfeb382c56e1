"""What a request does not need is neither decoded, nor encoded, nor sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal import Pipeline
from photoreal.client._outputs import picture_outputs
from photoreal.client._transport.inputs import Tensors, build_inputs
from photoreal.contract import STYLIZE
from photoreal.pipeline import stylize
from photoreal.pipeline.photos import photo_keys, read_photos
from photoreal.pipeline.presets import measure
from photoreal.pipeline.request import StylizeRequest
from photoreal.preprocess import Limits, decode_mask, encode_labels
from tests.kinds import Patch
from tests.shared import encoded, photo

SIZE = 16
CONTENT, STYLE = photo(40, 60, seed=1), photo(50, 40, seed=2)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(device="cpu", segmenter=None)


@pytest.fixture
def maps(monkeypatch: Patch) -> list[tuple[int, ...]]:
    """Sizes of the label maps that are encoded."""
    found = []

    def note(labels: Any) -> bytes:
        found.append(labels.shape)
        return encode_labels(labels)

    for module in (stylize, measure):
        monkeypatch.setattr(module, "encode_labels", note)
    return found


def _infer(pipeline: Pipeline, wanted: tuple[str, ...], **options: Any) -> Tensors:
    inputs = build_inputs(content=encoded(CONTENT), style=encoded(STYLE), size=SIZE, **options)
    return pipeline.transport.infer(inputs, wanted)


def _bytes(tensors: Tensors) -> int:
    return sum(len(one) for tensor in tensors.values() for one in tensor.tolist())


@pytest.mark.parametrize("method", ["color", "published"])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (picture_outputs(labels=False), []),
        (("CONTENT_LABELS", "REPORT"), [(40, 60)]),
        (("STYLE_LABELS", "IMAGE"), [(50, 40)]),
        (picture_outputs(labels=True), [(40, 60), (50, 40)]),
        (tuple(STYLIZE.output_names()), [(40, 60), (50, 40)]),
    ],
)
def test_label_maps_are_encoded_on_request(
    pipeline: Pipeline,
    maps: list[tuple[int, ...]],
    method: str,
    wanted: tuple[str, ...],
    expected: list[tuple[int, int]],
) -> None:
    found = _infer(pipeline, wanted, method=method)
    assert set(found) == set(wanted)
    assert sorted(maps) == expected


def test_a_picture_without_label_maps_is_the_same_in_fewer_bytes(pipeline: Pipeline) -> None:
    alone, whole = (
        _infer(pipeline, picture_outputs(labels=labels), method="color") for labels in (False, True)
    )
    assert alone["IMAGE"].item() == whole["IMAGE"].item()
    assert set(whole) - set(alone) == {"CONTENT_LABELS", "STYLE_LABELS"}
    maps = [tensor.item() for name, tensor in whole.items() if name.endswith("LABELS")]
    reports = [len(one["REPORT"].item()) for one in (alone, whole)]
    assert _bytes(whole) - reports[1] == _bytes(alone) - reports[0] + sum(map(len, maps))
    assert min(map(len, maps)) > 0


def test_measuring_a_style_encodes_no_label_map(
    pipeline: Pipeline, maps: list[tuple[int, ...]]
) -> None:
    pipeline.style(STYLE, size=SIZE, method="color")
    assert maps == []


@pytest.mark.parametrize("method", ["wct2", "color", "published"])
def test_a_style_is_decoded_as_large_as_it_is_needed(method: Any) -> None:
    """The content gives its own pixels to the result, and `published` is left as it was."""
    picture = Image.linear_gradient("L").resize((405, 300)).convert("RGB")
    content, style = (encoded(picture, "JPEG", quality=quality) for quality in (90, 95))
    request = StylizeRequest(content, style, size=44, method=method)
    files = {"content": content, "style": style}
    photos = read_photos(files, request, 44, Limits(), lambda: None, None)
    sizes = {role: photo.pixels.shape[:2] for role, photo in photos.originals.items()}
    small = (300, 405) if method == "published" else (150, 203)
    assert sizes == {"content": (300, 405), "style": small}
    assert {photo.shape for photo in photos.originals.values()} == {(300, 405)}
    shapes = {photo.shape for photo in photos.decoded.values()}
    assert shapes == {(3, 44, 59)}  # not that of 203x150 pixels, which is 60 wide
    again = read_photos(files, request, 44, Limits(), lambda: None, None)
    assert photo_keys(request, photos) == photo_keys(request, again)


def test_a_mask_has_the_size_of_the_style_s_file(pipeline: Pipeline) -> None:
    style = encoded(Image.linear_gradient("L").resize((201, 300)).convert("RGB"), "JPEG")
    labels = np.ones((300, 201), dtype=np.uint8)
    labels[150:] = 2
    given = pipeline.stylize(
        CONTENT,
        style,
        content_mask=np.ones(CONTENT.shape[:2], dtype=np.uint8),
        style_mask=labels,
        size=SIZE,
        method="color",
        labels=True,
    )
    found = decode_mask(given.style_labels_png, "labels", Limits()).labels
    assert found.shape == (300, 201)
    assert np.mean(found == labels) > 0.95
