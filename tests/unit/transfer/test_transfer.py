"""The multi-level transfer: what it keeps, what it changes and how much it computes."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.contract import LEVELS, PLACES, UNPOOLS, Place, Unpool
from photoreal.errors import InvalidOption
from photoreal.networks.vgg import Encoded, Skips
from photoreal.regions import Pair
from photoreal.transfer.padding import MIN_SIDE
from photoreal.transfer.progressive import (
    Engine,
    LabelledImage,
    measure_style,
    transfer,
)
from photoreal.transfer.soft_transfer import SoftImage, apply_soft, couple_measures, measure_soft
from tests.shared import (
    builtin_engine,
    narrow_engine,
    psnr,
    random_image,
    reconstruct,
    refused,
    smooth_image,
    unlabelled,
)

WHOLE = [Pair(0, None)]
SUBSETS = [subset for n in (1, 2, 3) for subset in combinations(PLACES, n)]
each_unpool = pytest.mark.parametrize("unpool", UNPOOLS)
each_subset = pytest.mark.parametrize("places", SUBSETS, ids="+".join)


class CountingEngine:
    """An engine that notes each call, apart for the style's pass and the content's after it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.depth = engine.depth
        self.passes: list[list[tuple[str, int]]] = []

    def encode(self, level: int, x: Tensor) -> Encoded:
        if level == 1:
            self.passes.append([])
        self.passes[-1].append(("encode", level))
        return self._engine.encode(level, x)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        self.passes[-1].append(("decode", level))
        return self._engine.decode(level, x, skips)


class CopyingEngine:
    """An engine whose every tensor is the caller's alone, going in and coming out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.depth = engine.depth

    def encode(self, level: int, x: Tensor) -> Encoded:
        x, skips = self._engine.encode(level, x.clone())
        return Encoded(x.clone(), _copy(skips))

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        return self._engine.decode(level, x.clone(), _copy(skips))


def _copy(skips: Skips | None) -> Skips | None:
    if skips is None:
        return None
    given = {name: one for name, one in skips._asdict().items() if one is not None}
    return skips._replace(**{name: one.clone() for name, one in given.items()})


def _halves(image: Tensor, left: int = 0, right: int = 1) -> LabelledImage:
    """The image with one label for its left half and one for its right."""
    labels = np.full(image.shape[-2:], right, dtype=np.uint8)
    labels[:, : image.shape[-1] // 2] = left
    return LabelledImage(image, labels)


@pytest.mark.slow
@each_unpool
@each_subset
def test_a_photo_in_its_own_style_stays_as_it_is(unpool: Unpool, places: tuple[Place, ...]) -> None:
    photo = unlabelled(smooth_image(32, 40))
    result = transfer(photo, photo, WHOLE, builtin_engine(unpool), places=places)
    assert psnr(result, photo.image) > 80


@pytest.mark.slow
def test_result_takes_the_colors_of_the_style() -> None:
    content = 0.2 + 0.5 * random_image(64, 64)
    style = torch.tensor([0.7, 0.4, 0.2]).view(1, 3, 1, 1) + 0.2 * random_image(48, 48, seed=1)
    result = transfer(unlabelled(content), unlabelled(style), WHOLE, builtin_engine())
    before = (content.mean(dim=(2, 3)) - style.mean(dim=(2, 3))).abs().max()
    after = (result.mean(dim=(2, 3)) - style.mean(dim=(2, 3))).abs().max()
    assert after < before / 5


@pytest.mark.parametrize(("height", "width"), [(50, 37), (17, 64), (40, 23), (16, 16)])
def test_any_size_is_the_padded_one_cropped(height: int, width: int) -> None:
    content, style = _halves(random_image(height, width)), _halves(random_image(29, 45, seed=1))
    pairs = [Pair(0, 1), Pair(1, 0)]
    result = transfer(content, style, pairs, narrow_engine())
    assert result.shape == content.image.shape
    below, right = -height % 8, -width % 8
    padded = LabelledImage(
        F.pad(content.image, (0, right, 0, below), mode="reflect"),
        np.pad(content.labels, ((0, below), (0, right)), mode="reflect"),
    )
    expected = transfer(padded, style, pairs, narrow_engine())
    assert torch.equal(result, expected[..., :height, :width])


@each_unpool
def test_every_place_has_its_own_effect(unpool: Unpool) -> None:
    engine = narrow_engine(unpool)
    content, style = _halves(random_image(16, 24)), unlabelled(0.5 * random_image(16, 16))
    plain = reconstruct(engine, content.image)
    results = [plain]
    for places in SUBSETS:
        results.append(transfer(content, style, [Pair(1, 0)], engine, places=places))
        off = transfer(content, style, [Pair(1, 0)], engine, alpha=0.0, places=places)
        assert torch.equal(off, plain)
    for one, other in combinations(results, 2):
        assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("pairs", [[], [Pair(7, 0)], [Pair(0, 9)]], ids=str)
@each_unpool
def test_without_a_pair_that_exists_the_content_is_reconstructed(
    unpool: Unpool, pairs: list[Pair]
) -> None:
    content, style = unlabelled(random_image(16, 24)), unlabelled(random_image(16, 16))
    result = transfer(content, style, pairs, narrow_engine(unpool))
    assert torch.equal(result, reconstruct(narrow_engine(unpool), content.image))


@pytest.mark.slow
@each_unpool
def test_pixels_of_unpaired_labels_keep_their_features(unpool: Unpool) -> None:
    """The built-in decoder looks at a 2x2 cell of each level alone, so regions do not mix."""
    content, style = _halves(random_image(32, 64)), unlabelled(0.3 * random_image(32, 32, seed=1))
    result = transfer(content, style, [Pair(0, 0)], builtin_engine(unpool))
    torch.testing.assert_close(result[..., 40:], content.image[..., 40:], atol=1e-5, rtol=0)
    assert (result - content.image)[..., :32].abs().mean() > 0.05


@pytest.mark.slow
def test_regions_take_their_own_styles_or_the_whole_style() -> None:
    content, engine = _halves(random_image(32, 64)), builtin_engine()
    looks = 0.3 * random_image(32, 64, seed=1)
    looks[..., 32:] += 0.6
    style = _halves(looks, left=5, right=6)
    result = transfer(content, style, [Pair(0, 6), Pair(1, 5)], engine)
    assert result[..., :32].mean() > 0.6
    assert result[..., 32:].mean() < 0.3
    assert torch.equal(result, transfer(content, style, [Pair(1, 5), Pair(0, 6)], engine))
    whole = transfer(content, style, [Pair(0, None), Pair(1, None)], engine)
    expected = transfer(content, unlabelled(looks), [Pair(0, 0), Pair(1, 0)], engine)
    assert torch.equal(whole, expected)


WORK: list[tuple[Unpool, tuple[Place, ...], int, list[int]]] = [
    # (unpool, places, the deepest encoder level of the style, its decoder levels)
    ("cat5", ("encoder",), 4, []),
    ("sum", ("encoder",), 4, []),
    ("cat5", ("skip",), 4, []),  # its third pooling is part of level 4
    ("sum", ("skip",), 3, []),
    ("cat5", ("encoder", "skip"), 4, []),
    ("cat5", ("decoder",), 4, [4, 3, 2]),
    ("sum", ("decoder",), 4, [4, 3, 2]),
    ("cat5", PLACES, 4, [4, 3, 2]),
    ("sum", PLACES, 4, [4, 3, 2]),
]


@pytest.mark.parametrize(("unpool", "places", "deepest", "decoded"), WORK)
def test_style_goes_no_further_than_the_places_need(
    unpool: Unpool, places: Collection[Place], deepest: int, decoded: list[int]
) -> None:
    engine = CountingEngine(narrow_engine(unpool))
    photo = unlabelled(random_image(16, 24))
    transfer(photo, photo, WHOLE, engine, places=places)
    ups, downs = [("encode", n) for n in LEVELS], [("decode", n) for n in (4, 3, 2, 1)]
    assert engine.passes == [ups[:deepest] + downs[: len(decoded)], ups + downs]
    assert [n for _, n in engine.passes[0][deepest:]] == decoded


@pytest.mark.parametrize(("pairs", "places"), [([], PLACES), (WHOLE, ())])
def test_style_is_left_alone_when_nothing_is_transferred(
    pairs: list[Pair], places: Collection[Place]
) -> None:
    engine = CountingEngine(narrow_engine())
    photo = unlabelled(random_image(16, 24))
    transfer(photo, photo, pairs, engine, places=places)
    assert len(engine.passes) == 1


@pytest.mark.parametrize("role", [0, 1], ids=["content", "style"])
@pytest.mark.parametrize(("height", "width"), [(MIN_SIDE - 1, 40), (40, MIN_SIDE - 1)])
def test_a_picture_that_is_too_small_is_refused(role: int, height: int, width: int) -> None:
    pictures = [unlabelled(random_image(32, 32)), unlabelled(random_image(height, width))]
    with refused(InvalidOption, f"{width}x{height} pixels.*at least {MIN_SIDE}"):
        transfer(pictures[1 - role], pictures[role], WHOLE, narrow_engine())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unpool", "places", "alpha", "blend"),
    [
        ("cat5", ("encoder",), 1.0, 3),
        ("sum", ("skip",), 0.5, 3),
        ("cat5", ("skip",), 1.0, 0),
        ("sum", ("decoder",), 0.5, 0),
        ("cat5", PLACES, 0.5, 3),
        ("sum", PLACES, 1.0, 0),
    ],
)
def test_the_caller_s_pictures_are_never_written_to(
    unpool: Unpool, places: tuple[Place, ...], alpha: float, blend: int
) -> None:
    """Features are overwritten; pictures of a size that needs no padding come nearest to it."""
    labels, theirs = np.zeros((24, 48), dtype=np.uint8), np.zeros((16, 24), dtype=np.uint8)
    labels[:, 16:], labels[:, 32:], labels[16:] = 1, 2, 3  # label 3 has no pair
    theirs[:, 12:], theirs[1:3, 1:3] = 1, 2
    pictures = [random_image(24, 48), random_image(16, 24, seed=1)]
    kept = [picture.clone() for picture in pictures]
    content, style = (LabelledImage(*one) for one in zip(pictures, (labels, theirs), strict=True))
    pairs, engine = [Pair(0, 1), Pair(1, 0), Pair(2, None)], builtin_engine(unpool)
    result, copied = (
        transfer(content, style, pairs, one, alpha=alpha, places=places, blend=blend)
        for one in (engine, CopyingEngine(engine))
    )
    assert not result.requires_grad
    for picture, before in zip(pictures, kept, strict=True):
        assert torch.equal(picture, before)
    # What is overwritten is nowhere needed again: copies of everything make no difference.
    assert torch.equal(result, copied)


@pytest.mark.slow
def test_measures_are_there_for_every_place_that_is_asked_for() -> None:
    style = unlabelled(random_image(16, 24))
    everywhere = measure_style(style, [None], builtin_engine())
    assert len(everywhere) == 4 + 3 * 3 + 3
    for place in PLACES:
        found = measure_style(style, [None], builtin_engine(), places=(place,))
        if place == "decoder":  # without the encoder, its last features are the decoder's first
            assert found.pop(("decoder", 4))[None].mean.shape == (512, 1)
        assert found
        for name, regions in found.items():
            for one, other in zip(regions[None], everywhere[name][None], strict=True):
                assert torch.equal(one, other)


@pytest.mark.slow
def test_a_soft_border_is_a_slope_where_a_hard_one_is_a_step() -> None:
    """Two halves of one gray surface that become dark and light."""
    generator = torch.Generator().manual_seed(0)
    image = 0.5 + 0.02 * torch.randn((1, 3, 32, 96), generator=generator)
    image[..., :8, :8], image[..., :8, -8:] = 0.0, 1.0  # room for both in the content's range
    image[..., -8:, :8], image[..., -8:, -8:] = 1.0, 0.0
    looks = image.clone()
    looks[..., :48] -= 0.25
    looks[..., 48:] += 0.25
    content, style, pairs = _halves(image), _halves(looks.clamp(0, 1)), [Pair(0, 0), Pair(1, 1)]
    rows = [
        transfer(content, style, pairs, builtin_engine(), blend=blend)[0, :, 12:20].mean(dim=(0, 1))
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


def test_soft_regions_run_the_levels_that_count_in_the_built_in_weights() -> None:
    """As many as the documentation of the metrics says."""
    engine = CountingEngine(builtin_engine())
    picture = SoftImage(smooth_image(32, 40), np.ones((1, 32, 40), np.float32))
    apply_soft(picture, couple_measures(measure_soft(picture, engine), np.ones((1, 1))), engine)
    down = [("encode", 1), ("encode", 2), ("decode", 2)]
    assert engine.passes == [down, [*down, ("decode", 1)]]
