"""`wct2` and `segmenter` called directly, with arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.contract import Unpool
from photoreal.regions import Pair
from photoreal.serve.launch.launcher import Server
from photoreal.transfer.progressive import LabelledImage, NetworkEngine, transfer
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from photoreal.weights.segmenters import load_segmenter

pytestmark = pytest.mark.server

Arrays = dict[str, npt.NDArray[Any]]
SHAPES = {"CONTENT": (24, 40), "STYLE": (35, 21)}


@pytest.fixture(scope="module")
def images(smooth_image: Callable[..., Tensor]) -> Arrays:
    return {
        name: smooth_image(*shape, seed).numpy()[0]
        for seed, (name, shape) in enumerate(SHAPES.items())
    }


@pytest.fixture(scope="module")
def labels() -> Arrays:
    """Two regions in each: labels 3 and 4 in the content, 4 and 5 in the style."""
    maps = {}
    for first, (name, (height, width)) in zip((3, 4), SHAPES.items(), strict=True):
        maps[f"{name}_LABELS"] = np.full((height, width), first, dtype=np.uint8)
        maps[f"{name}_LABELS"][:, width // 2 :] = first + 1
    return maps


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    ("options", "pairs", "how"),
    [
        ({}, [Pair(0, None)], {}),
        ({"labels": True}, [Pair(4, 4)], {}),
        ({"labels": True, "PAIRS": [[3, 5], [4, -1]]}, [Pair(3, 5), Pair(4, None)], {}),
        ({"labels": True, "PAIRS": np.zeros((0, 2))}, [], {}),
        ({"ALPHA": 0.25}, [Pair(0, None)], {"alpha": 0.25}),
        ({"TRANSFER_AT": b"skip"}, [Pair(0, None)], {"places": ("skip",)}),
        ({"labels": True, "BLEND": 2}, [Pair(4, 4)], {"blend": 2}),
    ],
    ids=["no labels", "labels", "pairs", "no pairs", "alpha", "places", "blend"],
)
def test_wct2_is_the_transfer(
    local: Server,
    call: Callable[..., Arrays],
    images: Arrays,
    labels: Arrays,
    builtin_engine: Callable[[Unpool], NetworkEngine],
    protocol: str,
    options: dict[str, Any],
    pairs: list[Pair],
    how: dict[str, Any],
) -> None:
    inputs, maps = dict(images), {}
    if "labels" in options:
        inputs |= labels
        maps = labels
    if "PAIRS" in options:
        inputs["PAIRS"] = np.array(options["PAIRS"], dtype=np.int32)
    if "ALPHA" in options:
        inputs["ALPHA"] = np.array([options["ALPHA"]], dtype=np.float32)
    if "TRANSFER_AT" in options:
        inputs["TRANSFER_AT"] = np.array([options["TRANSFER_AT"]], dtype=np.object_)
    if "BLEND" in options:
        inputs["BLEND"] = np.array([options["BLEND"]], dtype=np.int32)
    got = call(local, "wct2", inputs, protocol)["IMAGE"]
    content, style = (
        LabelledImage(
            torch.from_numpy(images[name])[None],
            maps.get(f"{name}_LABELS", np.zeros(shape, dtype=np.uint8)),
        )
        for name, shape in SHAPES.items()
    )
    wanted = transfer(content, style, pairs, builtin_engine("cat5"), **how)[0].numpy()
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=1e-3)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_wct2_takes_soft_regions(
    local: Server,
    call: Callable[..., Arrays],
    images: Arrays,
    builtin_engine: Callable[[Unpool], NetworkEngine],
    protocol: str,
) -> None:
    planes = {}
    for name, (height, width) in SHAPES.items():
        ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8), (height, width))
        planes[f"{name}_REGIONS"] = np.stack([ramp, 255 - ramp])
    coupling = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32)
    got = call(local, "wct2", images | planes | {"COUPLING": coupling}, protocol)["IMAGE"]
    content, style = (
        SoftImage(
            torch.from_numpy(images[name])[None],
            planes[f"{name}_REGIONS"].astype(np.float32) / np.float32(255),
        )
        for name in SHAPES
    )
    engine = builtin_engine("cat5")
    measures = couple_measures(measure_soft(style, engine), coupling.astype(np.float64))
    wanted = apply_soft(content, measures, engine)[0].numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-3)


NAN_PIXEL = np.full((3, 24, 40), 0.5, dtype=np.float32)
NAN_PIXEL[1, 2, 3] = np.nan
BAD_TRANSFERS: dict[str, tuple[dict[str, Any], str]] = {
    "alpha below 0": ({"ALPHA": np.array([-0.1], dtype=np.float32)}, "alpha"),
    "alpha not a number": ({"ALPHA": np.array([np.nan], dtype=np.float32)}, "alpha"),
    "labels of another size": (
        {
            "CONTENT_LABELS": np.zeros((24, 41), dtype=np.uint8),
            "STYLE_LABELS": np.zeros((35, 21), dtype=np.uint8),
        },
        "24x41",
    ),
    "one label map": ({"STYLE_LABELS": np.zeros((35, 21), dtype=np.uint8)}, "CONTENT_LABELS"),
    "a pixel that is not a number": ({"CONTENT": NAN_PIXEL}, "finite"),
    "an infinite pixel": ({"STYLE": np.full((3, 32, 32), np.inf, dtype=np.float32)}, "finite"),
    "an image of 8x8": ({"STYLE": np.zeros((3, 8, 8), dtype=np.float32)}, "8x8"),
    "an image without pixels": ({"STYLE": np.zeros((3, 0, 32), dtype=np.float32)}, "STYLE|image"),
    "a content label twice": ({"PAIRS": np.array([[0, 0], [0, 1]], dtype=np.int32)}, "pairs"),
    "no place": ({"TRANSFER_AT": np.array([b""], dtype=np.object_)}, "transfer_at"),
    "style regions alone": (
        {"STYLE_REGIONS": np.full((1, 35, 21), 255, dtype=np.uint8)},
        "missing: CONTENT_REGIONS, COUPLING",
    ),
    "regions without a coupling": (
        {
            "CONTENT_REGIONS": np.full((1, 24, 40), 255, dtype=np.uint8),
            "STYLE_REGIONS": np.full((1, 35, 21), 255, dtype=np.uint8),
        },
        "missing: COUPLING",
    ),
    "too wide a border": ({"BLEND": np.array([65], dtype=np.int32)}, "blend is 65"),
    "a place in no UTF-8": ({"TRANSFER_AT": np.array([b"\xff"], dtype=np.object_)}, "UTF-8"),
}


@pytest.mark.parametrize("case", BAD_TRANSFERS)
def test_wct2_refuses(
    local: Server, refused: Callable[..., str], images: Arrays, case: str
) -> None:
    changes, words = BAD_TRANSFERS[case]
    sentence = refused(local, "wct2", images | changes)
    assert any(word in sentence for word in words.split("|")), sentence


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("size", [(64, 96), (50, 37)])
def test_segmenter_labels_a_batch(
    local: Server,
    call: Callable[..., Arrays],
    smooth_image: Callable[..., Tensor],
    segmenter_folder: Any,
    protocol: str,
    size: tuple[int, int],
) -> None:
    batch = torch.cat([smooth_image(*size, 0), smooth_image(*size, 3)])
    segmenter, _ = load_segmenter(segmenter_folder)
    labels, probabilities = segmenter.labels_and_probabilities(batch)
    wanted = labels.numpy()
    assert len(np.unique(wanted)) > 1
    outputs = call(local, "segmenter", {"IMAGE": batch.numpy()}, protocol)
    np.testing.assert_allclose(outputs["PROBABILITIES"], probabilities.numpy(), atol=1e-4)
    both = outputs["LABELS"]
    assert both.dtype == np.uint8
    assert both.shape == wanted.shape
    assert np.mean(both == wanted) > 0.999  # rounding may tip a pixel between two classes
    one = call(local, "segmenter", {"IMAGE": batch[1:].numpy()}, protocol)["LABELS"]
    assert np.mean(one == wanted[1:]) > 0.999
