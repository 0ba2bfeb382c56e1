"""Calibration: a temperature for the scores, so that probabilities match the accuracy.

Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section
4.2): the scores are divided by the number that maximizes the likelihood of the validation labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from photoreal.networks.segmenter import Segmenter
from photoreal.train.evaluate import class_scores
from photoreal.train.loss import segmentation_loss
from photoreal.train.sources import LabeledPhoto, Read
from photoreal.train.tables import CLASSES

_PIXELS = 20_000  # drawn from each source, so that all have equal weight
_ITERATIONS = 50


def calibrate(
    segmenter: Segmenter,
    items: Sequence[LabeledPhoto],
    pictures: Sequence[Read],
    advance: Callable[[], None] = lambda: None,
    names: Sequence[str] = CLASSES,
) -> float:
    """Fit the temperature of a segmenter with the classes `names` on held-out labeled photos.

    Pixels are drawn at random, equally many from each source. Pixels of classes that the segmenter
    does not have are skipped.
    """
    photos = Counter(item.source for item in items)
    lacking = [index for index, name in enumerate(CLASSES) if name not in names]
    random = torch.Generator().manual_seed(0)
    scores, targets = [torch.empty(len(CLASSES), 0)], [torch.empty(0, dtype=torch.int64)]
    for item, read in zip(items, pictures, strict=True):
        found, wanted = (
            values.cpu() for values in class_scores(segmenter, item, read, names=names)
        )
        usable = torch.nonzero(~torch.isin(wanted, torch.tensor(lacking)))[:, 0]
        drawn = torch.randperm(len(usable), generator=random)
        drawn = usable[drawn[: -(-_PIXELS // photos[item.source])]]
        scores.append(found[:, drawn])
        targets.append(wanted[drawn])
        advance()
    return fit_temperature(torch.cat(scores, dim=1), torch.cat(targets))


def fit_temperature(scores: Tensor, targets: Tensor) -> float:
    """Fit the temperature that minimizes the negative log-likelihood; 1 without pixels.

    `scores` (classes, n) before the softmax, `targets` (n,) with a class c or NOT + c.
    """
    if not len(targets):
        return 1.0
    rows, wanted = scores[None, :, :, None].double(), targets[None, :, None]
    logarithm = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logarithm], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def likelihood() -> Tensor:
        optimizer.zero_grad()
        loss = segmentation_loss(rows / logarithm.exp(), wanted, 0.0)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(likelihood)  # type: ignore[no-untyped-call]
    return float(logarithm.detach().exp())
