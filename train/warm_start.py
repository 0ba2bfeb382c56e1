"""Trainings that begin with the weights of another segmenter: warm start and fine-tuning.

Small batches change the statistics of batch normalization and forget what a few photos do not
show. So statistics and early layers can be kept, and a second loss pulls the predictions toward
those of the segmenter that the training began with (Hinton et al., "Distilling the Knowledge in a
Neural Network", 2015; Li and Hoiem, "Learning without Forgetting", ECCV 2016).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from photoreal.errors import TrainingError
from photoreal.networks.segmenter import Segmenter
from photoreal.train.tables import CLASSES

_LAST_BIAS = "decoder.conv_last.4.bias"
_LAST_LAYERS = ("decoder.conv_last.4.", "decoder.conv_last_deepsup.")


def take_over(network: Segmenter, origin: Segmenter, names: Sequence[str]) -> None:
    """Copy the weights of another segmenter, whose classes are `names`, into `network`.

    The rows of the last layers follow their class; those of classes that the origin lacks stay
    as they are. Raises TrainingError for another width.
    """
    ours, theirs = network.state_dict(), origin.state_dict()
    rows = [(CLASSES.index(name), row) for row, name in enumerate(names) if name in CLASSES]
    for name, value in ours.items():
        if name.startswith(_LAST_LAYERS):
            for row, its_row in rows:
                value[row] = theirs[name][its_row]
        elif value.shape != theirs[name].shape:
            raise TrainingError(
                f"The segmenter to begin with has a width of {len(theirs['encoder.bn1.weight'])};"
                f" expected that of the settings, {len(ours['encoder.bn1.weight'])}."
            )
        else:
            value.copy_(theirs[name])


def keep_statistics(network: nn.Module) -> None:
    """Let batch normalization use the statistics it has, and leave them as they are."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def freeze(network: nn.Module, parts: Sequence[str]) -> None:
    """Keep the parameters of parts, such as encoder.layer1; raises TrainingError without one."""
    for part in parts:
        try:
            network.get_submodule(part).requires_grad_(False)
        except AttributeError as error:
            raise TrainingError(
                f"The settings freeze {part}, which the segmenter does not have; expected names"
                " such as encoder.layer1 or decoder.ppm."
            ) from error


@torch.no_grad()
def interpolate(network: nn.Module, origin: nn.Module, share: float) -> None:
    """Move the weights of a fine-tuned network toward those that it began with.

    `share` in 0..1 is that of the origin: what was learned stays in part, and what was known is
    hardly forgotten (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
    """
    theirs = origin.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], share)


@torch.no_grad()
def add_offsets(network: Segmenter, offsets: dict[str, float]) -> None:
    """Add to the scores of classes, by name, before the softmax.

    This moves the balance between classes without a training (Menon et al., "Long-tail learning
    via logit adjustment", ICLR 2021).
    """
    bias = network.get_parameter(_LAST_BIAS)
    for name, offset in offsets.items():
        bias[CLASSES.index(name)] += offset


class Teacher:
    """The segmenter that a training began with, and the loss that stays near it."""

    def __init__(self, network: Segmenter) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    def loss(self, images: Tensor, scores: Tensor) -> Tensor:
        """Mean Kullback-Leibler divergence of scores (N, classes, h, w) from the teacher's."""
        with torch.no_grad():
            wanted = self.network.scores(images).float().log_softmax(dim=1)
        found = scores.float().log_softmax(dim=1)
        return (wanted.exp() * (wanted - found)).sum(dim=1).mean()
