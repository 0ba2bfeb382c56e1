"""The segmenter's parts and its shapes at any width."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from photoreal.networks.pyramid import POOL_SIZES, PyramidPool, enlarged_and_convolved
from photoreal.networks.segmenter import Segmenter


@pytest.mark.parametrize("cells", POOL_SIZES)
@pytest.mark.parametrize("training", [False, True])
def test_pyramid_pooling_equals_adaptive_pooling(cells: int, training: bool) -> None:
    pool = PyramidPool(cells).train(training)
    for height in (*range(1, 40), 101):
        x = torch.rand(2, 3, height, 1 + 40 // height)
        for one in (x, x.transpose(2, 3)):
            torch.testing.assert_close(pool(one), F.adaptive_avg_pool2d(one, cells))


@pytest.mark.parametrize("cells", POOL_SIZES)
@pytest.mark.parametrize("size", [(46, 69), (5, 9), (1, 2), (2, 1), (6, 6)])
def test_cells_are_convolved_as_if_they_had_been_enlarged(
    cells: int, size: tuple[int, int]
) -> None:
    features = torch.randn(2, 5, cells, cells, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    large = F.interpolate(features, size, mode="bilinear", align_corners=False)
    expected = F.conv2d(large, weight, padding=1)
    found = enlarged_and_convolved(features, weight, large)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)  # places are float32
    seed = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(found, (features, weight), seed),
        torch.autograd.grad(expected, (features, weight), seed),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)


def test_the_last_convolution_sees_the_features_and_every_level() -> None:
    decoder = Segmenter(4, 5).eval().decoder
    features = torch.randn(2, 128, 7, 11)
    with torch.inference_mode():
        levels = [
            F.interpolate(level(features), (7, 11), mode="bilinear", align_corners=False)
            for level in decoder.ppm
        ]
        expected = decoder.conv_last(torch.cat([features, *levels], dim=1))
        torch.testing.assert_close(decoder(features), expected)


@pytest.mark.parametrize(("width", "classes"), [(4, 3), (8, 12), (16, 150)])
@pytest.mark.parametrize(("height", "wide"), [(32, 48), (37, 61), (8, 9)])
def test_any_width_gives_scores_and_labels_of_the_picture_s_size(
    width: int, classes: int, height: int, wide: int
) -> None:
    network = Segmenter(width, classes).eval()
    pictures = torch.rand(2, 3, height, wide)
    with torch.inference_mode():
        scores, labels = network(pictures), network.labels(pictures)
    assert scores.shape == (2, classes, height, wide)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels, scores.argmax(dim=1).to(torch.uint8))


def test_features_are_at_an_eighth() -> None:
    network = Segmenter(4, 5).eval()
    with torch.inference_mode():
        third, fourth = network.encoder(torch.rand(1, 3, 40, 72))
        assert third.shape == (1, 4 * 4 * 4, 5, 9)
        assert fourth.shape == (1, 8 * 4 * 4, 5, 9)
        assert network.decoder.deep_supervision(third).shape == (1, 5, 5, 9)
        assert network.decoder(fourth).shape == (1, 5, 5, 9)


def test_normalisation_is_inside() -> None:
    network = Segmenter(4, 5).eval()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    picture = torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        _, deepest = network.encoder((picture - mean) / deviation)
        scores = F.interpolate(
            network.decoder(deepest), size=(24, 32), mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(network(picture), scores)
    assert not {"mean", "deviation"} & set(network.state_dict())
