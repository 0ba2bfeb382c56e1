"""Requests of `stylize`, and models that are functions and note what they are asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from photoreal.local import pipeline
from photoreal.networks.vgg import Decoder, Encoded, Encoder, Skips
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.request import Models, StylizeRequest, StylizeResponse, Transferred
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stylize import stylize
from photoreal.pipeline.wct2 import measures_file
from photoreal.preprocess import Limits, decode_mask, decode_photo
from photoreal.regions import LabelMap
from photoreal.transfer.progressive import NetworkEngine
from photoreal.weights.networks import BUILTIN, load_wct2
from tests.shared import NARROW, Array, Photo, encoded, narrow_networks, photo

CONTENT, STYLE = photo(16, 24, seed=1), photo(20, 16, seed=2)
GRAY = {"content": np.full_like(CONTENT, 128), "style": np.full_like(STYLE, 128)}
"""Photos in which no edge moves a region's border."""


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
def engine() -> CountingEngine:
    return CountingEngine(*narrow_networks())


@pytest.fixture(scope="module")
def few_channels() -> Iterator[None]:
    """Gives every `Pipeline` networks of few channels in place of the built-in ones."""

    def load(name: str | Path) -> tuple[Encoder, Decoder]:
        return narrow_networks() if name == BUILTIN else load_wct2(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_wct2", load)
        patch.setattr(measures_file, "CHANNELS", NARROW)
        yield


def rows(height: int, width: int, *labels: int) -> LabelMap:
    """A label map of equal bands, from top to bottom."""
    mask = np.zeros((height, width), dtype=np.uint8)
    for band, label in zip(np.array_split(np.arange(height), len(labels)), labels, strict=True):
        mask[band] = label
    return mask


@dataclass
class Answer:
    response: StylizeResponse

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.response.report)
        return report

    @property
    def picture(self) -> Photo:
        return decode_photo(self.response.image, "result", Limits())

    @property
    def labels(self) -> list[LabelMap]:
        """The content's, then the styles'."""
        files = (self.response.content_labels, *self.response.style_labels)
        return [decode_mask(file, "labels", Limits()).labels for file in files]


class Ask:
    """`ask(...)` serves a request for two small photos; pictures may be given as arrays.

    Models note what they are asked. The transfer does `change` to the content, the segmenter is
    sure of the next one of `labels`, which are positions in `classes`; without classes there is
    no segmenter.
    """

    def __init__(self, **defaults: Any) -> None:
        self.defaults = {"content": CONTENT, "style": STYLE, "size": 16, **defaults}
        self.limits = Limits()
        self.sequences: SteadyRegions | None = None
        self.known: KnownRegions | None = None
        self.classes: tuple[str, ...] = ()
        self.labels: list[LabelMap] = []
        self.segment: Callable[[Array], Array] = self._segment
        self.elsewhere = False
        self.change: Callable[[Array], Array] = lambda content: content
        self.segmented: list[Array] = []
        self.transfers: list[dict[str, Any]] = []

    def request(self, **given: Any) -> StylizeRequest:
        files = {name: _encoded(value) for name, value in (self.defaults | given).items()}
        return StylizeRequest(**files)

    def __call__(self, **given: Any) -> Answer:
        segment = self.segment if self.classes else None
        models = Models(
            *(self._transfer, segment, self.classes, self._transfer_soft),
            segments_elsewhere=self.elsewhere,
        )
        request = self.request(**given)
        return Answer(stylize(request, models, self.limits, self.sequences, self.known))

    @property
    def called(self) -> dict[str, Any]:
        """What the only transfer was asked."""
        (only,) = self.transfers
        return only

    def _segment(self, image: Array) -> Array:
        self.segmented.append(image)
        labels = self.labels[len(self.segmented) - 1]
        sure: Array = np.arange(len(self.classes)).reshape(-1, 1, 1) == labels
        return sure.astype(np.float32)

    def _transfer(
        self, content: Array, content_labels: LabelMap, styles: Any, **options: Any
    ) -> Transferred:
        noted = {"content": content, "content_labels": content_labels, "styles": list(styles)}
        self.transfers.append(noted | options)
        return Transferred(self.change(content))

    def _transfer_soft(
        self, content: Array, regions: Array, styles: Any, **options: Any
    ) -> Transferred:
        noted = {"content": content, "regions": regions, "styles": list(styles)}
        self.transfers.append(noted | options)
        return Transferred(self.change(content))


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(one) for one in value]
    return encoded(value) if isinstance(value, np.ndarray) else value


@pytest.fixture
def ask() -> Ask:
    return Ask()


@pytest.fixture
def published() -> Ask:
    """The same with the method `published`."""
    return Ask(method="published")
