"""Training samples: random crops in random light, each determined by seed and index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from photoreal.errors import TrainingError
from photoreal.train.augment import paint_clouds, relight
from photoreal.train.settings import Settings
from photoreal.train.sources import SKY, LabeledPhoto, Read

TARGET_STRIDE = 2
"""Targets keep every second row and column, since features are at stride 8 anyway."""

_SHORT_SIDES = (200.0, 460.0)  # of the photo that a crop is taken from
_ASPECT = 0.15


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Sample `(step, place)` of the training: a crop (3, S, S) in 0..1, targets (S/2, S/2).

    The crop's side is the stage's that the step falls into. Raises TrainingError when no source
    with photos has a share.
    """

    def __init__(
        self, items: Sequence[LabeledPhoto], pictures: Sequence[Read], settings: Settings
    ) -> None:
        self._pictures = pictures
        self._settings = settings
        self._members = {
            source: [i for i, item in enumerate(items) if item.source == source]
            for source, share in settings.shares.items()
            if share > 0
        }
        self._members = {source: members for source, members in self._members.items() if members}
        if not self._members:
            raise TrainingError(
                "No source with photos has a share in the settings; expected one above 0 for some"
                f" of {', '.join(sorted({item.source for item in items}))}."
            )
        shares = np.array([settings.shares[source] for source in self._members])
        self._shares = shares / shares.sum()

    def __getitem__(self, index: tuple[int, int]) -> tuple[Tensor, Tensor]:
        step, place = index
        random = np.random.default_rng((self._settings.seed, step, place))
        source = random.choice(len(self._members), p=self._shares)
        members = list(self._members.values())[source]
        photo, targets = self._pictures[members[random.integers(len(members))]]
        crop, wanted = _crop(photo, targets, self._settings.stage(step).crop, random)
        clouds = self._settings.clouds if step >= self._settings.clouds_from else 0.0
        if clouds and (wanted == SKY).any() and random.random() < clouds:
            crop = paint_clouds(crop, wanted, random)
        lit = relight(crop, wanted, random)
        return (
            torch.from_numpy(np.ascontiguousarray(lit.transpose(2, 0, 1))),
            torch.from_numpy(wanted[::TARGET_STRIDE, ::TARGET_STRIDE].astype(np.int64)),
        )


def _crop(
    photo: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.uint8],
    side: int,
    random: np.random.Generator,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Crop a square of the photo at random scale and aspect, mirrored half of the time."""
    height, width = targets.shape
    short = max(np.exp(random.uniform(*np.log(_SHORT_SIDES))), float(side))
    scale = short / min(height, width)
    stretch = np.exp(random.uniform(-_ASPECT, _ASPECT))
    tall = min(side / scale * stretch, float(height))
    wide = min(side / scale / stretch, float(width))
    top = random.uniform(0.0, height - tall)
    left = random.uniform(0.0, width - wide)
    box = (left, top, left + wide, top + tall)
    image = Image.fromarray(photo).resize((side, side), Image.Resampling.BILINEAR, box=box)
    labels = Image.fromarray(targets).resize((side, side), Image.Resampling.NEAREST, box=box)
    crop, wanted = np.asarray(image), np.asarray(labels)
    if random.random() < 0.5:
        crop, wanted = crop[:, ::-1], wanted[:, ::-1]
    return crop.astype(np.float32) / np.float32(255.0), np.ascontiguousarray(wanted)


def batches(
    samples: Samples, settings: Settings, first: int, workers: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of all steps from `first` on, independent of the number of workers."""
    plan = [
        [(step, place) for place in range(settings.stage(step).batch)]
        for step in range(first, settings.steps)
    ]
    return DataLoader(samples, batch_sampler=plan, num_workers=workers)
