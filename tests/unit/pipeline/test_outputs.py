"""What a request does not ask for is neither encoded nor sent."""

from __future__ import annotations

from typing import Any

import pytest

from photoreal import Pipeline
from photoreal.client._outputs import picture_outputs
from photoreal.client._transport.inputs import Tensors, build_inputs
from photoreal.contract import STYLIZE
from photoreal.pipeline import stylize
from photoreal.pipeline.presets import measure
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
    encode = stylize.encode_labels

    def note(labels: Any) -> bytes:
        found.append(labels.shape)
        return encode(labels)

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
