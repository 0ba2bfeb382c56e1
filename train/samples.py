"""Training samples: random crops in random light, each batch determined by seed and step."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from numpy.random import Generator
from torch import Tensor

from photoreal.errors import TrainingError
from photoreal.train.augment import change_rows, paint_clouds, relight
from photoreal.train.damage import on
from photoreal.train.settings import Settings
from photoreal.train.sources import SKY, LabeledPhoto, Read

TARGET_STRIDE = 2
"""Targets keep every second row and column, since features are at stride 8 anyway."""

_SHORT_SIDES = (math.log(200.0), math.log(460.0))  # of the photo that a crop is taken from
_ASPECT = 0.15


class Samples:
    """All photos on a device, of which batches of crops are taken there.

    A crop is a square of a photo at a random scale and aspect, mirrored half of the time, in random
    light. Raises TrainingError when no source with photos has a share.
    """

    def __init__(
        self,
        items: Sequence[LabeledPhoto],
        pictures: Sequence[Read],
        settings: Settings,
        device: str | torch.device = "cpu",
    ) -> None:
        self._settings = settings
        self._device = torch.device(device)
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
        self._sizes = np.array([targets.shape for _, targets in pictures])
        self._has_sky = np.array([(targets == SKY).any() for _, targets in pictures])
        ends = np.cumsum(self._sizes.prod(axis=1))
        self._offsets = np.concatenate([[0], ends[:-1]])
        self._pixels = _packed(pictures, int(ends[-1])).to(self._device)

    def batch(self, step: int, position: int | None = None) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S) in 0..1 and targets (N, S/2, S/2) uint8 of a step.

        The stage of the settings that `position` falls into says how many and how large they are;
        `position` is the step unless given.
        """
        position = step if position is None else position
        stage = self._settings.stage(position)
        random = np.random.default_rng((self._settings.seed, step))
        photos = self._draw(stage.batch, random)
        crops, targets = self._crops(photos, stage.crop, random)
        if position >= self._settings.clouds_from:
            cloudy = self._has_sky[photos] & (random.random(len(photos)) < self._settings.clouds)
            crops = change_rows(crops, targets, cloudy, paint_clouds, random)
        crops = relight(crops, targets, random).contiguous(memory_format=torch.channels_last)
        return crops, targets[:, ::TARGET_STRIDE, ::TARGET_STRIDE]

    def _draw(self, count: int, random: Generator) -> npt.NDArray[np.int64]:
        """Numbers of photos, their sources as often as their shares say."""
        members = list(self._members.values())
        sources = random.choice(len(members), count, p=self._shares)
        places = random.random(count)
        return np.array(
            [
                members[source][int(place * len(members[source]))]
                for source, place in zip(sources, places, strict=True)
            ]
        )

    def _crops(
        self, photos: npt.NDArray[np.int64], side: int, random: Generator
    ) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S) of the photos, interpolated, and their nearest targets (N, S, S)."""
        count, sizes = len(photos), self._sizes[photos]
        short = np.exp(random.uniform(*_SHORT_SIDES, count))
        scale = np.maximum(short, side) / sizes.min(axis=1)
        stretch = np.exp(random.uniform(-_ASPECT, _ASPECT, count))
        boxes = side / scale[:, None] * np.stack([stretch, 1.0 / stretch], axis=1)
        boxes = np.minimum(boxes, sizes)
        corners = random.random((count, 2)) * (sizes - boxes)
        steps = (np.arange(side) + 0.5) / side
        places = corners[..., None] + boxes[..., None] * steps - 0.5  # (N, 2, S)
        mirrored = random.random(count) < 0.5
        places[mirrored, 1] = places[mirrored, 1, ::-1]
        places = np.clip(places, 0, sizes[..., None] - 1)
        first = np.floor(places).astype(np.int64)
        second = np.minimum(first + 1, sizes[..., None] - 1)
        nearest = np.round(places).astype(np.int64)
        down, across = (on(self._device, (places - first)[:, axis]) for axis in range(2))
        lines, columns = (
            [self._rows(photos, lines[:, 0]) for lines in (first, second, nearest)],
            [on(self._device, columns[:, 1]) for columns in (first, second, nearest)],
        )
        upper, lower = (
            torch.lerp(
                self._colors(line, columns[0]),
                self._colors(line, columns[1]),
                across[:, None, :, None],
            )
            for line in lines[:2]
        )
        crops = torch.lerp(upper, lower, down[:, :, None, None]) / 255.0
        return crops.permute(0, 3, 1, 2), self._gather(lines[2], columns[2])[..., 3]

    def _rows(self, photos: npt.NDArray[np.int64], lines: npt.NDArray[np.int64]) -> Tensor:
        """Where the photos' lines (N, S) begin among all pixels."""
        begins = self._offsets[photos, None] + lines * self._sizes[photos, 1:]
        return on(self._device, begins)

    def _gather(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Pixels (N, S, S, 4) uint8 at the crossings of rows (N, S) and columns (N, S)."""
        found = self._pixels[rows[:, :, None] + columns[:, None, :]]
        return found.view(torch.uint8).view(*found.shape, 4)

    def _colors(self, rows: Tensor, columns: Tensor) -> Tensor:
        return self._gather(rows, columns)[..., :3].float()


def _packed(pictures: Sequence[Read], count: int) -> Tensor:
    """All pixels as (count,) int32, each the bytes of its color and its target."""
    pixels = np.empty((count, 4), dtype=np.uint8)
    begin = 0
    for photo, targets in pictures:
        part = pixels[begin : begin + targets.size]
        part[:, :3], part[:, 3] = photo.reshape(-1, 3), targets.reshape(-1)
        begin += targets.size
    return torch.from_numpy(pixels.view(np.int32)[:, 0])
