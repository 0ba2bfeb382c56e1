"""`wct2`, its levels and `segmenter` called directly, with arrays; both engines agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tritonclient.utils import InferenceServerException

from photoreal.regions import Pair
from photoreal.serve.launch.launcher import Server
from photoreal.transfer.progressive import LabelledImage, transfer
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from photoreal.weights.segmenters import load_segmenter
from tests.kinds import (
    Arrays,
    Call,
    PairFiles,
    Refused,
    Stylize,
)
from tests.shared import builtin_engine, builtin_networks, psnr, random_image, smooth_image

pytestmark = pytest.mark.server

SHAPES = {"CONTENT": (24, 40), "STYLE": (35, 21)}
MASKS = ("content_mask", "style_mask")


@pytest.fixture(scope="module")
def images() -> Arrays:
    return {
        name: smooth_image(*shape, seed).numpy()[0]
        for seed, (name, shape) in enumerate(SHAPES.items())
    }


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("given", ["photos alone", "labels and options"])
def test_wct2_is_the_transfer(
    local: Server, call: Call, images: Arrays, protocol: str, given: str
) -> None:
    """Each option alone is in `tests/adapters/test_wct2_adapter.py`."""
    maps = {f"{name}_LABELS": np.zeros(shape, np.uint8) for name, shape in SHAPES.items()}
    inputs, pairs, how = dict(images), [Pair(0, None)], dict[str, Any]()
    if given != "photos alone":
        for labels in maps.values():
            labels[:, labels.shape[1] // 2 :] = 4
        pairs, how = [Pair(0, 4), Pair(4, None)], {"alpha": 0.25, "places": ("skip",), "blend": 2}
        inputs |= maps | {
            "PAIRS": np.array([[0, 4], [4, -1]], dtype=np.int32),
            "ALPHA": np.array([0.25], dtype=np.float32),
            "TRANSFER_AT": np.array([b"skip"], dtype=np.object_),
            "BLEND": np.array([2], dtype=np.int32),
        }
    got = call(local, "wct2", inputs, protocol)["IMAGE"]
    content, style = (
        LabelledImage(torch.from_numpy(images[name])[None], maps[f"{name}_LABELS"])
        for name in SHAPES
    )
    wanted = transfer(content, style, pairs, builtin_engine("cat5"), **how)[0].numpy()
    np.testing.assert_allclose(got, wanted, atol=1e-3)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_wct2_takes_soft_regions(local: Server, call: Call, images: Arrays, protocol: str) -> None:
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


REGIONS = np.full((1, 35, 21), 255, dtype=np.uint8)
BAD: dict[str, tuple[Arrays, str]] = {
    "alpha below 0": ({"ALPHA": np.array([-0.1], dtype=np.float32)}, "alpha"),
    "one label map": ({"STYLE_LABELS": REGIONS[0]}, "CONTENT_LABELS"),
    "an infinite pixel": ({"STYLE": np.full((3, 32, 32), np.inf, dtype=np.float32)}, "finite"),
    "an image without pixels": ({"STYLE": np.zeros((3, 0, 32), dtype=np.float32)}, "image"),
    "regions alone": ({"STYLE_REGIONS": REGIONS}, "CONTENT_REGIONS, COUPLING"),
    "sizes that do not fill the strip": (
        {"STYLE_SIZES": np.array([[32, 40], [16, 16]], dtype=np.int32)},
        "STYLE_SIZES does not fit",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_wct2_refuses(local: Server, refused: Refused, images: Arrays, case: str) -> None:
    changes, words = BAD[case]
    assert words in refused(local, "wct2", images | changes)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("size", [(64, 96), (50, 37)])
def test_segmenter_labels_a_batch(
    local: Server, call: Call, segmenter_folder: Any, protocol: str, size: tuple[int, int]
) -> None:
    batch = torch.cat([smooth_image(*size, 0), smooth_image(*size, 3)])
    segmenter, _ = load_segmenter(segmenter_folder)
    labels, probabilities = segmenter.labels_and_probabilities(batch)
    wanted = labels.numpy()
    assert len(np.unique(wanted)) > 1
    outputs = call(local, "segmenter", {"IMAGE": batch.numpy()}, protocol)
    np.testing.assert_allclose(outputs["PROBABILITIES"], probabilities.numpy(), atol=1e-4)
    assert outputs["LABELS"].dtype == np.uint8
    one = call(local, "segmenter", {"IMAGE": batch[1:].numpy()}, protocol)["LABELS"]
    for found, expected in ((outputs["LABELS"], wanted), (one, wanted[1:])):
        assert found.shape == expected.shape
        assert np.mean(found == expected) > 0.999  # rounding may tip a pixel between two classes


@pytest.mark.parametrize(
    "options",
    [
        {"method": "published", "size": 75, "transfer_at": "skip,decoder", "alpha": 0.5},
        {"method": "published", "size": 48, "masks": False},
        {"method": "published", "size": 48, "masks": False, "segment": False},
        {"method": "wct2", "size": 64, "wct2_strength": 1.0, "output_size": 64},
        {"method": "wct2", "size": 48, "masks": False, "wct2_strength": 1.0, "output_size": 48},
    ],
    ids=["odd size, places, alpha", "segmenter", "whole", "default", "default, segmenter"],
)
def test_engines_agree(
    local: Server, bls: Server, stylize: Stylize, pair: PairFiles, options: dict[str, Any]
) -> None:
    arguments = pair("pagoda-dusk") | options
    if not arguments.pop("masks", True):
        arguments = {name: value for name, value in arguments.items() if name not in MASKS}
    one, other = (stylize(server, **arguments) for server in (local, bls))
    assert one.report["regions"] == other.report["regions"]
    assert one.content_labels_png == other.content_labels_png
    pictures = [torch.from_numpy(np.array(result.image)) / 255 for result in (one, other)]
    assert pictures[0].shape == (options["size"], round(640 * options["size"] / 427), 3)
    assert psnr(pictures[0], pictures[1]) > 60


def test_levels_are_the_networks(bls: Server, local: Server, call: Call) -> None:
    encoder, decoder = builtin_networks("cat5")
    images = torch.cat([random_image(24, 40), random_image(24, 40, 1)])
    with torch.inference_mode():
        first, _ = encoder.level(1, images)
        second, skips = encoder.level(2, first)
        assert skips is not None
        undone = decoder.level(2, second, skips)
    given = {"INPUT": images.numpy()}
    got = call(bls, "wct2_encoder_1", given, "grpc")
    np.testing.assert_allclose(got["FEATURES"], first.numpy(), atol=1e-4, rtol=1e-4)
    got = call(bls, "wct2_encoder_2", {"INPUT": first.numpy()})
    assert set(got) == {"FEATURES", "LH", "HL", "HH", "ORIGINAL"}
    np.testing.assert_allclose(got["FEATURES"], second.numpy(), atol=1e-4, rtol=1e-4)
    got = call(bls, "wct2_decoder_2", got)
    np.testing.assert_allclose(got["OUTPUT"], undone.numpy(), atol=1e-3, rtol=1e-3)
    with pytest.raises(InferenceServerException, match="wct2_encoder_1"):
        call(local, "wct2_encoder_1", given)  # this engine needs no levels
