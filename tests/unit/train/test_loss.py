"""The loss of a training against its definition."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from photoreal.train.loss import segmentation_loss
from photoreal.train.sources import IGNORE, NOT, PARTIAL, SKY
from photoreal.train.tables import CLASSES

COUNT, WATER = len(CLASSES), CLASSES.index("water")


@pytest.fixture
def scores() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn((2, COUNT, 6, 5), generator=generator, dtype=torch.float64)


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.randint(0, COUNT, (2, 6, 5), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("smoothing", [0.0, 0.03, 0.5])
def test_labeled_pixels_cost_their_cross_entropy(
    smoothing: float, scores: torch.Tensor, targets: torch.Tensor
) -> None:
    expected = F.cross_entropy(scores, targets, label_smoothing=smoothing)
    torch.testing.assert_close(segmentation_loss(scores, targets, smoothing), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_not_a_class_costs_the_probability_of_that_class(
    smoothing: float, scores: torch.Tensor
) -> None:
    for label in range(COUNT):
        found = segmentation_loss(scores, torch.full((2, 6, 5), NOT + label), smoothing)
        expected = -torch.log(1 - scores.softmax(dim=1)[:, label]).mean()
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("name", PARTIAL)
def test_one_of_several_classes_costs_their_probability(
    name: str, smoothing: float, scores: torch.Tensor
) -> None:
    labels = [CLASSES.index(one) for one in name.split("|")]
    targets = torch.full((2, 6, 5), PARTIAL[name])
    expected = -torch.log(scores.softmax(dim=1)[:, labels].sum(dim=1)).mean()
    torch.testing.assert_close(segmentation_loss(scores, targets, smoothing), expected)


def test_kinds_of_targets_mix_by_their_pixels_and_ignored_ones_do_not_count(
    scores: torch.Tensor, targets: torch.Tensor
) -> None:
    targets[:, 2:3], targets[:, 3:4], targets[:, 4:] = NOT + SKY, NOT + WATER, IGNORE
    labeled = F.cross_entropy(scores[:, :, :2], targets[:, :2], label_smoothing=0.03)
    probabilities = scores.softmax(dim=1)
    not_sky = -torch.log(1 - probabilities[:, SKY, 2]).mean()
    not_water = -torch.log(1 - probabilities[:, WATER, 3]).mean()
    for scale in (1, 50):  # scores of ignored pixels do not matter
        scores[:, :, 4:] *= scale
        found = segmentation_loss(scores, targets, 0.03)
        torch.testing.assert_close(found, labeled / 2 + not_sky / 4 + not_water / 4)


def test_nothing_labeled_costs_nothing_and_moves_nothing(scores: torch.Tensor) -> None:
    scores.requires_grad_()
    loss = segmentation_loss(scores, torch.full((2, 6, 5), IGNORE), 0.03)
    assert loss.item() == 0
    (gradient,) = torch.autograd.grad(loss, scores)
    assert not gradient.any()


@pytest.mark.parametrize("target", [SKY, NOT + SKY])
def test_certainty_keeps_the_loss_and_its_gradient_finite(target: int) -> None:
    scores = torch.zeros(1, COUNT, 2, 2)
    scores[:, SKY] = -200.0 if target == SKY else 200.0
    scores.requires_grad_()
    loss = segmentation_loss(scores, torch.full((1, 2, 2), target), 0.0)
    assert loss.item() == pytest.approx(200, rel=0.02)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0.1
