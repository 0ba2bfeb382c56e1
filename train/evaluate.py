"""Pixel accuracy, the measure of the training and of the model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from photoreal.segmenter import Segmenter
from photoreal.train.sources import CLASSES, IGNORE, NOT_SKY, SKY, LabeledPhoto, Read, target_table

SHORT_SIDES = {"camvid": 240, "labelmefacade": 300}
"""Short side in pixels at which a source is measured; the others are taken as they are."""


@dataclass
class Score:
    """Counts over the labeled pixels of one source.

    `confusion` is (classes, classes): row the labeled class, column the predicted one. For a
    source that only knows the sky, rows and columns are "not sky" (0) and "sky" (1).
    """

    names: tuple[str, ...]
    confusion: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((len(self.names), len(self.names)), dtype=np.int64)

    @property
    def accuracy(self) -> float:
        """Share of the labeled pixels that got their class, 0..1."""
        return float(np.trace(self.confusion) / max(self.confusion.sum(), 1))

    def by_class(self) -> dict[str, float]:
        """For each class that occurs the share of its pixels that were found, 0..1."""
        totals = self.confusion.sum(axis=1)
        return {
            name: float(self.confusion[i, i] / totals[i])
            for i, name in enumerate(self.names)
            if totals[i]
        }


@torch.inference_mode()
def evaluate(
    segmenter: Segmenter,
    items: Sequence[LabeledPhoto],
    pictures: Sequence[Read],
    advance: Callable[[], None] = lambda: None,
    change: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None,
) -> dict[str, Score]:
    """Scores by source, with each photo at its source's size and labels at the same one.

    `change` is applied to each photo (H, W, 3) in 0..1 before it is segmented.
    """
    was_training = segmenter.training
    segmenter.eval()
    device = segmenter.mean.device
    scores: dict[str, Score] = {}
    for item, (photo, targets) in zip(items, pictures, strict=True):
        small, wanted = _at_size(photo, targets, SHORT_SIDES.get(item.source))
        values = small.astype(np.float32) / np.float32(255.0)
        if change is not None:
            values = change(values)
        image = torch.from_numpy(values).permute(2, 0, 1)[None].to(device)
        found = segmenter.labels(image)[0].cpu().numpy()
        if item.source not in scores:
            sky_only = NOT_SKY in target_table(item.source)
            scores[item.source] = Score(("not sky", "sky") if sky_only else CLASSES)
        _count(scores[item.source], wanted, found)
        advance()
    segmenter.train(was_training)
    return scores


def _at_size(
    photo: npt.NDArray[np.uint8], targets: npt.NDArray[np.uint8], short: int | None
) -> Read:
    height, width = targets.shape
    if short is None or short == min(height, width):
        return photo, targets
    size = (round(width * short / min(height, width)), round(height * short / min(height, width)))
    return (
        np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC)),
        np.asarray(Image.fromarray(targets).resize(size, Image.Resampling.NEAREST)),
    )


def _count(score: Score, wanted: npt.NDArray[np.uint8], found: npt.NDArray[np.uint8]) -> None:
    known = wanted != IGNORE
    wanted, found = wanted[known], found[known]
    if len(score.names) == 2:
        wanted, found = (wanted == SKY).astype(np.uint8), (found == SKY).astype(np.uint8)
    count = len(score.names)
    pairs = wanted.astype(np.int64) * count + found
    score.confusion += np.bincount(pairs, minlength=count * count).reshape(count, count)


def accuracy(scores: dict[str, Score]) -> float:
    """Mean of the sources' accuracies."""
    return float(np.mean([score.accuracy for score in scores.values()]))
