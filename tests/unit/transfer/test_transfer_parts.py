"""The transfer's two halves, its soft borders, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.contract import PLACES, UNPOOLS, Place, Unpool
from photoreal.errors import InvalidOption
from photoreal.networks.vgg import Encoded, Skips
from photoreal.regions import Pair
from photoreal.transfer.progressive import (
    MIN_SIDE,
    Engine,
    LabelledImage,
    NetworkEngine,
    StyleMeasures,
    apply_style,
    measure_style,
    transfer,
)

pytestmark = pytest.mark.slow

MakeEngine = Callable[[Unpool], NetworkEngine]
MakeImage = Callable[..., Tensor]

CASES: list[tuple[Unpool, tuple[Place, ...], float, int]] = [
    # (unpool, places, alpha, blend)
    ("cat5", ("encoder",), 1.0, 3),
    ("sum", ("skip",), 0.5, 3),
    ("cat5", ("skip",), 1.0, 0),
    ("sum", ("decoder",), 0.5, 0),
    ("cat5", PLACES, 0.5, 3),
    ("sum", PLACES, 1.0, 0),
]
PAIRS = [Pair(0, 1), Pair(1, 0), Pair(2, None)]


class CopyingEngine:
    """An engine whose every tensor is the caller's alone, going in and coming out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def encode(self, level: int, x: Tensor) -> Encoded:
        x, skips = self._engine.encode(level, x.clone())
        return Encoded(x.clone(), None if skips is None else _copy(skips))

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        return self._engine.decode(level, x.clone(), None if skips is None else _copy(skips))


def _copy(skips: Skips) -> Skips:
    return skips._replace(
        **{name: one.clone() for name, one in skips._asdict().items() if one is not None}
    )


@pytest.fixture
def content(random_image: MakeImage) -> LabelledImage:
    """Labels 0, 1 and 2 from left to right, and 3, which has no pair, below."""
    labels = np.zeros((24, 48), dtype=np.uint8)
    labels[:, 16:], labels[:, 32:], labels[16:] = 1, 2, 3
    return LabelledImage(0.8 * random_image(24, 48), labels)


@pytest.fixture
def style(random_image: MakeImage) -> LabelledImage:
    """Dark under label 0, light under label 1, and a spot of label 2."""
    image, labels = 0.3 * random_image(16, 24, seed=1), np.zeros((16, 24), dtype=np.uint8)
    image[..., 12:] += 0.6
    labels[:, 12:], labels[1:3, 1:3] = 1, 2
    return LabelledImage(image, labels)


def _wanted() -> set[int | None]:
    return {pair.style for pair in PAIRS}


def _equal(one: StyleMeasures, other: StyleMeasures) -> bool:
    """Whether all that is in one is in the other, bit for bit."""
    return all(
        torch.equal(found.mean, other[place][label].mean)
        and torch.equal(found.root, other[place][label].root)
        for place, regions in one.items()
        for label, found in regions.items()
    )


@pytest.mark.parametrize(("unpool", "places", "alpha", "blend"), CASES)
def test_measuring_and_applying_is_the_transfer(
    unpool: Unpool,
    places: tuple[Place, ...],
    alpha: float,
    blend: int,
    content: LabelledImage,
    style: LabelledImage,
    builtin_engine: MakeEngine,
) -> None:
    engine = builtin_engine(unpool)
    measures = measure_style(style, _wanted(), engine, places=places)
    found = apply_style(content, measures, PAIRS, engine, alpha=alpha, places=places, blend=blend)
    expected = transfer(content, style, PAIRS, engine, alpha=alpha, places=places, blend=blend)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("unpool", "places", "alpha", "blend"), CASES)
def test_the_caller_s_pictures_are_never_written_to(
    unpool: Unpool,
    places: tuple[Place, ...],
    alpha: float,
    blend: int,
    content: LabelledImage,
    style: LabelledImage,
    builtin_engine: MakeEngine,
) -> None:
    """Features are overwritten; pictures of a size that needs no padding come nearest to it."""
    kept = [(one.image.clone(), one.labels.copy()) for one in (content, style)]
    engine = builtin_engine(unpool)
    result, copied = (
        transfer(content, style, PAIRS, one, alpha=alpha, places=places, blend=blend)
        for one in (engine, CopyingEngine(engine))
    )
    for one, (image, labels) in zip((content, style), kept, strict=True):
        assert torch.equal(one.image, image)
        np.testing.assert_array_equal(one.labels, labels)
    # What is overwritten is nowhere needed again: copies of everything make no difference.
    assert torch.equal(result, copied)


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_measuring_more_than_is_wanted_changes_nothing(
    unpool: Unpool, content: LabelledImage, style: LabelledImage, builtin_engine: MakeEngine
) -> None:
    engine = builtin_engine(unpool)
    wanted = measure_style(style, _wanted(), engine)
    more = measure_style(style, {0, 1, 2, 9, None}, engine)
    assert {label for regions in wanted.values() for label in regions} == {0, 1, None}
    assert {label for regions in more.values() for label in regions} == {0, 1, 2, None}
    assert _equal(wanted, more)
    results = [apply_style(content, found, PAIRS, engine, blend=2) for found in (wanted, more)]
    assert torch.equal(*results)


def test_measures_are_there_for_every_place_that_is_asked_for(
    style: LabelledImage, builtin_engine: MakeEngine
) -> None:
    engine = builtin_engine("cat5")
    everywhere = measure_style(style, [None], engine)
    assert len(everywhere) == 4 + 3 * 3 + 3
    for place in PLACES:
        found = measure_style(style, [None], engine, places=(place,))
        if place == "decoder":  # without the encoder, its last features are the decoder's first
            assert found.pop(("decoder", 4))[None].mean.shape == (512, 1)
        assert found
        assert set(found) <= set(everywhere)
        assert _equal(found, everywhere)


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_no_blend_is_a_hard_border(
    unpool: Unpool, content: LabelledImage, style: LabelledImage, builtin_engine: MakeEngine
) -> None:
    engine = builtin_engine(unpool)
    hard = transfer(content, style, PAIRS, engine)
    assert torch.equal(transfer(content, style, PAIRS, engine, blend=0), hard)
    soft = transfer(content, style, PAIRS, engine, blend=3)
    assert (soft - hard).abs().max() > 0.01


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_a_soft_border_changes_only_what_is_near_it(
    unpool: Unpool, style: LabelledImage, random_image: MakeImage, builtin_engine: MakeEngine
) -> None:
    """With skips alone no place's result reaches the statistics of another."""
    labels = np.zeros((16, 64), dtype=np.uint8)
    labels[:, 32:] = 1
    content, engine = LabelledImage(random_image(16, 64), labels), builtin_engine(unpool)
    places: tuple[Place, ...] = ("skip",)
    hard, soft = (
        transfer(content, style, PAIRS, engine, places=places, blend=blend) for blend in (0, 4)
    )
    changed = ((soft - hard).abs().amax(dim=(0, 1, 2)) > 1e-5).nonzero().squeeze(1)
    # As far as the border is soft, and one cell of the deepest features more.
    assert changed.min() >= 32 - 4 - 8
    assert changed.max() < 32 + 4 + 8
    assert {28, 29, 30, 31, 32, 33, 34, 35} <= set(changed.tolist())


def test_a_soft_border_is_a_slope_where_a_hard_one_is_a_step(
    builtin_engine: MakeEngine,
) -> None:
    """Two halves of one gray surface that become dark and light."""
    labels = np.zeros((32, 96), dtype=np.uint8)
    labels[:, 48:] = 1
    generator = torch.Generator().manual_seed(0)
    image = 0.5 + 0.02 * torch.randn((1, 3, 32, 96), generator=generator)
    image[..., :8, :8], image[..., :8, -8:] = 0.0, 1.0  # room for both in the content's range
    image[..., -8:, :8], image[..., -8:, -8:] = 1.0, 0.0
    looks = image.clone()
    looks[..., :48] -= 0.25
    looks[..., 48:] += 0.25
    content, style = LabelledImage(image, labels), LabelledImage(looks.clamp(0, 1), labels)
    engine = builtin_engine("cat5")
    pairs = [Pair(0, 0), Pair(1, 1)]
    rows = [
        transfer(content, style, pairs, engine, blend=blend)[0, :, 12:20].mean(dim=(0, 1))
        for blend in (0, 8, 16)
    ]
    # Gray levels over four pixels on either side, so that noise does not count.
    steps = [float(row[48:52].mean() - row[44:48].mean()) for row in rows]
    heights = [float(row[76:84].mean() - row[12:20].mean()) for row in rows]
    assert min(heights) > 0.3
    assert max(heights) - min(heights) < 0.1
    assert steps[0] > 0.7 * heights[0]
    assert steps[0] > steps[1] > steps[2] > 0
    assert steps[2] < 0.5 * heights[2]


@pytest.mark.parametrize("blend", [0, 3])
def test_nothing_to_match_reconstructs_the_content(
    blend: int,
    content: LabelledImage,
    style: LabelledImage,
    builtin_engine: MakeEngine,
    psnr: Callable[[Tensor, Tensor], float],
) -> None:
    result = transfer(content, style, [], builtin_engine("cat5"), blend=blend)
    assert psnr(result, content.image) > 80


def test_a_style_that_is_too_small_is_refused(
    random_image: MakeImage, builtin_engine: MakeEngine
) -> None:
    labels = np.zeros((MIN_SIDE - 1, 40), dtype=np.uint8)
    small = LabelledImage(random_image(MIN_SIDE - 1, 40), labels)
    with pytest.raises(InvalidOption, match="40x15 pixels"):
        measure_style(small, [None], builtin_engine("cat5"))
