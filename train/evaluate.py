"""Pixel accuracy and calibration error, the metrics of training and of the model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from photoreal.networks.segmenter import Segmenter
from photoreal.train.sources import (
    IGNORE,
    NOT,
    SOURCE_BY_NAME,
    LabeledPhoto,
    Read,
    is_measured,
    target_table,
)
from photoreal.train.tables import CLASSES

BINS = 15
"""Bins of confidence, of equal width, that the calibration error is measured in."""
ABSENT = -1e4
"""Score of a class that the segmenter does not have: a probability of 0 without infinities."""


@dataclass
class Reliability:
    """Reliability diagram of a segmenter: accuracy by confidence.

    Pixels are counted by confidence in `BINS` bins: their number, the sum of their confidences,
    and the number of correct ones.
    """

    counts: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    confidence: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    right: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))

    def add(self, confidence: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> None:
        """Count pixels by their confidence in 0..1."""
        bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        self.counts += np.bincount(bins, minlength=BINS)
        self.confidence += np.bincount(bins, weights=confidence, minlength=BINS)
        self.right += np.bincount(bins, weights=right, minlength=BINS)

    @property
    def error(self) -> float:
        """Expected calibration error, 0..1 (Guo et al., ICML 2017, section 2)."""
        return float(np.abs(self.confidence - self.right).sum() / max(self.counts.sum(), 1.0))


@dataclass
class Score:
    """Counts over the labeled pixels of one source.

    `confusion` is (classes, classes): row the labeled class, column the predicted one. For a
    source that tells `only` one class from the rest, rows and columns are "not CLASS" (0) and
    "CLASS" (1), and so are the events whose confidence is counted. `uncalibrated` is the
    confidence at a temperature of 1, `calibrated` at the segmenter's own.
    """

    only: str | None = None
    confusion: npt.NDArray[np.int64] = field(init=False)
    uncalibrated: Reliability = field(default_factory=Reliability)
    calibrated: Reliability = field(default_factory=Reliability)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((len(self.names), len(self.names)), dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows and columns."""
        return CLASSES if self.only is None else (f"not {self.only}", self.only)

    @property
    def accuracy(self) -> float:
        """Share of the labeled pixels classified correctly, in 0..1."""
        return float(np.trace(self.confusion) / max(self.confusion.sum(), 1))

    def by_class(self) -> dict[str, float]:
        """Recall in 0..1 of each class that occurs."""
        totals = self.confusion.sum(axis=1)
        return {
            name: float(self.confusion[i, i] / totals[i])
            for i, name in enumerate(self.names)
            if totals[i]
        }


def evaluate(
    segmenter: Segmenter,
    items: Sequence[LabeledPhoto],
    pictures: Sequence[Read],
    advance: Callable[[], None] = lambda: None,
    change: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None,
    names: Sequence[str] = CLASSES,
) -> dict[str, Score]:
    """Scores by source, with each photo at its source's size and labels at the same one.

    `change` is applied to each photo (H, W, 3) in 0..1 before it is segmented. `names` are the
    segmenter's classes, some of `CLASSES`: pixels of the others count as missed.
    """
    scores: dict[str, Score] = {}
    for item, (photo, targets) in zip(items, pictures, strict=True):
        found, wanted = class_scores(segmenter, item, (photo, targets), change, names)
        if item.source not in scores:
            scores[item.source] = Score(_only(item.source))
        score = scores[item.source]
        right = _count(score, found, wanted)
        for reliability, temperature in (
            (score.uncalibrated, 1.0),
            (score.calibrated, segmenter.temperature),
        ):
            confidence = _confidence(found / temperature, score.only)
            reliability.add(confidence.cpu().numpy(), right.cpu().numpy())
        advance()
    return scores


def accuracy(scores: dict[str, Score]) -> float:
    """Mean of the sources' accuracies."""
    return float(np.mean([score.accuracy for score in scores.values()]))


@torch.inference_mode()
def class_scores(
    segmenter: Segmenter,
    item: LabeledPhoto,
    read: Read,
    change: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] | None = None,
    names: Sequence[str] = CLASSES,
) -> tuple[Tensor, Tensor]:
    """Scores before the softmax of the labeled pixels of a photo, and their targets.

    The photo is taken at its source's size. Returns (classes, n) float32 in the order of
    `CLASSES`, `ABSENT` for those that the segmenter does not have, and (n,) int64.
    """
    was_training = segmenter.training
    segmenter.eval()
    small, wanted = _at_size(*read, SOURCE_BY_NAME[item.source].short_side)
    values = small.astype(np.float32) / np.float32(255.0)
    if change is not None:
        values = change(values)
    image = torch.from_numpy(values).permute(2, 0, 1)[None].to(segmenter.mean.device)
    known = is_measured(wanted)
    found = segmenter(image)[0][:, torch.from_numpy(known).to(image.device)]
    segmenter.train(was_training)
    scores = found.new_full((len(CLASSES), found.shape[1]), ABSENT)
    scores[[CLASSES.index(name) for name in names]] = found
    return scores, torch.from_numpy(wanted[known].astype(np.int64)).to(image.device)


def _only(source: str) -> str | None:
    """The only class that a source labels, or None if it labels several."""
    table = target_table(source)
    negatives = table[(table >= NOT) & (table < IGNORE)]
    return CLASSES[negatives[0] - NOT] if negatives.size else None


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


def _count(score: Score, scores: Tensor, targets: Tensor) -> Tensor:
    """Count predictions in a score; returns which are correct, (n,) bool."""
    found, wanted = scores.argmax(dim=0), targets
    if score.only is not None:
        label = CLASSES.index(score.only)
        found, wanted = (found == label).long(), (wanted == label).long()
    count = len(score.names)
    pairs = torch.bincount(wanted * count + found, minlength=count * count)
    score.confusion += pairs.view(count, count).cpu().numpy()
    return found == wanted


def _confidence(scores: Tensor, only: str | None) -> Tensor:
    """Probability (n,) of the most probable class, or of the decision for or against `only`."""
    probabilities = scores.softmax(dim=0)
    highest, found = probabilities.max(dim=0)
    if only is None:
        return highest
    label = CLASSES.index(only)
    return torch.where(found == label, highest, 1.0 - probabilities[label])
