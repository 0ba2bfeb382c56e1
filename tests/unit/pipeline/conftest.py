"""Requests, and models that are functions and note what they are asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from torch import Tensor

from photoreal.contract import Place, Unpool
from photoreal.networks.vgg import Encoded, Skips
from photoreal.pipeline.request import (
    FloatImage,
    MeasuredStyle,
    Models,
    Shot,
    SoftStyle,
    StyleInput,
    StylizeRequest,
    StylizeResponse,
    Transferred,
)
from photoreal.preprocess import Limits
from photoreal.regions import LabelMap
from photoreal.transfer.progressive import NetworkEngine

Array = npt.NDArray[Any]
Encode = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]
CheckSentence = Callable[[object], None]

SIZE = 16
LIMITS = Limits()


class CountingEngine(NetworkEngine):
    """Counts the levels that it runs."""

    levels = 0

    def encode(self, level: int, x: Tensor) -> Encoded:
        self.levels += 1
        return super().encode(level, x)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        self.levels += 1
        return super().decode(level, x, skips)


@pytest.fixture
def engine(builtin_networks: Callable[[Unpool], tuple[Any, Any]]) -> CountingEngine:
    return CountingEngine(*builtin_networks("cat5"))


@dataclass
class FakeModels:
    """Returns the content as it is and notes what it was asked."""

    labels: list[Array] = field(default_factory=list)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    segmented: list[FloatImage] = field(default_factory=list)
    soft_transfers: list[dict[str, Any]] = field(default_factory=list)

    def transfer(
        self,
        content: FloatImage,
        content_labels: LabelMap,
        styles: Sequence[StyleInput],
        *,
        alpha: float,
        places: Collection[Place],
        blend: int,
        shot: Shot | None = None,
    ) -> Transferred:
        self.transfers.append(
            {
                "content": content,
                "content_labels": content_labels,
                "styles": list(styles),
                "style": styles[0].image,
                "style_labels": styles[0].labels,
                "pairs": list(styles[0].pairs),
                "shot": shot,
                "alpha": alpha,
                "places": tuple(places),
                "blend": blend,
            }
        )
        return Transferred(content)

    def transfer_soft(
        self,
        content: FloatImage,
        regions: npt.NDArray[np.uint8],
        styles: Sequence[SoftStyle | MeasuredStyle],
        *,
        places: Collection[Place],
        shot: Shot | None = None,
    ) -> Transferred:
        self.soft_transfers.append(
            {
                "content": content,
                "regions": regions,
                "styles": list(styles),
                "places": tuple(places),
                "shot": shot,
            }
        )
        return Transferred(content)

    def segment(self, image: FloatImage) -> FloatImage:
        """Probabilities of a segmenter that is sure of the next one of `labels`."""
        self.segmented.append(image)
        labels = self.labels[len(self.segmented) - 1]
        classes = np.arange(labels.max() + 1).reshape(-1, 1, 1)
        sure: FloatImage = (classes == labels).astype(np.float32)
        return sure

    @property
    def called(self) -> dict[str, Any]:
        assert len(self.transfers) == 1
        assert not self.soft_transfers
        return self.transfers[0]

    @property
    def called_soft(self) -> dict[str, Any]:
        assert len(self.soft_transfers) == 1
        assert not self.transfers
        return self.soft_transfers[0]


@pytest.fixture
def fake() -> FakeModels:
    return FakeModels()


@pytest.fixture
def content(photo: Photo) -> npt.NDArray[np.uint8]:
    return photo(16, 24, seed=1)


@pytest.fixture
def style(photo: Photo) -> npt.NDArray[np.uint8]:
    return photo(20, 16, seed=2)


@pytest.fixture
def request_for(content: Array, style: Array, encoded: Encode) -> Callable[..., StylizeRequest]:
    """Makes a request with both photos; masks are given as arrays."""

    def make(**given: Any) -> StylizeRequest:
        for role in ("content_mask", "style_mask"):
            if isinstance(given.get(role), np.ndarray):
                given[role] = encoded(given[role])
        given = {"content": encoded(content), "style": encoded(style), "size": SIZE, **given}
        return StylizeRequest(**given)

    return make


@pytest.fixture
def published_for(request_for: Callable[..., StylizeRequest]) -> Callable[..., StylizeRequest]:
    """The same with the method `published`."""
    return partial(request_for, method="published")


@pytest.fixture
def gray(encoded: Encode) -> dict[str, bytes]:
    """Two photos of the same sizes in which no edge moves a region's border."""
    return {
        "content": encoded(np.full((16, 24, 3), 128, dtype=np.uint8)),
        "style": encoded(np.full((20, 16, 3), 128, dtype=np.uint8)),
    }


def models_of(fake: FakeModels, classes: tuple[str, ...] = ()) -> Models:
    return Models(fake.transfer, fake.segment if classes else None, classes, fake.transfer_soft)


def report_of(response: StylizeResponse) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(response.report)
    return report


def rows(height: int, width: int, *labels: int) -> npt.NDArray[np.uint8]:
    """A label map of equal bands, from top to bottom."""
    bands = np.array_split(np.arange(height), len(labels))
    mask = np.zeros((height, width), dtype=np.uint8)
    for band, label in zip(bands, labels, strict=True):
        mask[band] = label
    return mask
