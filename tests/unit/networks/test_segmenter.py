"""The segmenter's parts and its shapes at any width."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from photoreal.networks.segmenter import POOL_SIZES, PyramidPool, Segmenter


@pytest.mark.parametrize("cells", POOL_SIZES)
@pytest.mark.parametrize("training", [False, True])
def test_pyramid_pooling_equals_adaptive_pooling(cells: int, training: bool) -> None:
    pool = PyramidPool(cells).train(training)
    for height in (*range(1, 40), 101):
        x = torch.rand(2, 3, height, 1 + 40 // height)
        for one in (x, x.transpose(2, 3)):
            torch.testing.assert_close(pool(one), F.adaptive_avg_pool2d(one, cells))


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
