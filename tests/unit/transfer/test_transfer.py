"""The multi-level transfer: what it keeps, what it changes and how much it computes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from photoreal.contract import LEVELS, PLACES, UNPOOLS, Place, Unpool
from photoreal.errors import InvalidOption
from photoreal.networks.vgg import Decoder, Encoded, Encoder, Skips
from photoreal.regions import Pair
from photoreal.transfer.progressive import MIN_SIDE, Engine, LabelledImage, NetworkEngine, transfer

pytestmark = pytest.mark.slow

MakeEngine = Callable[[Unpool], NetworkEngine]
MakeImage = Callable[..., Tensor]
Unlabelled = Callable[[Tensor], LabelledImage]
Psnr = Callable[[Tensor, Tensor], float]

WHOLE = [Pair(0, None)]
SUBSETS = [subset for n in (1, 2, 3) for subset in combinations(PLACES, n)]


class CountingEngine:
    """An engine that notes each call, apart for the style's pass and the content's after it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.passes: list[list[tuple[str, int]]] = []

    def encode(self, level: int, x: Tensor) -> Encoded:
        if level == 1:
            self.passes.append([])
        self.passes[-1].append(("encode", level))
        return self._engine.encode(level, x)

    def decode(self, level: int, x: Tensor, skips: Skips | None) -> Tensor:
        self.passes[-1].append(("decode", level))
        return self._engine.decode(level, x, skips)


@pytest.fixture
def seeded_engine(seeded_networks: Callable[[Unpool], tuple[Encoder, Decoder]]) -> MakeEngine:
    return lambda unpool: NetworkEngine(*seeded_networks(unpool))


def _reconstruct(engine: Engine, image: Tensor) -> Tensor:
    x, skips = image, []
    for level in LEVELS:
        x, skip = engine.encode(level, x)
        if skip is not None:
            skips.append(skip)
    for level in reversed(LEVELS):
        x = engine.decode(level, x, skips.pop() if level > 1 else None)
    return x


def _halves(image: Tensor, left: int = 0, right: int = 1) -> LabelledImage:
    """The image with one label for its left half and one for its right."""
    labels = np.full(image.shape[-2:], right, dtype=np.uint8)
    labels[:, : image.shape[-1] // 2] = left
    return LabelledImage(image, labels)


@pytest.mark.parametrize("unpool", UNPOOLS)
@pytest.mark.parametrize("places", SUBSETS, ids="+".join)
def test_a_photo_in_its_own_style_stays_as_it_is(
    unpool: Unpool,
    places: tuple[Place, ...],
    builtin_engine: MakeEngine,
    smooth_image: MakeImage,
    unlabelled: Unlabelled,
    psnr: Psnr,
) -> None:
    photo = unlabelled(smooth_image(48, 64))
    result = transfer(photo, photo, WHOLE, builtin_engine(unpool), places=places)
    assert psnr(result, photo.image) > 80


def test_result_takes_the_colors_of_the_style(
    builtin_engine: MakeEngine, random_image: MakeImage, unlabelled: Unlabelled
) -> None:
    content = 0.2 + 0.5 * random_image(64, 64)
    style = torch.tensor([0.7, 0.4, 0.2]).view(1, 3, 1, 1) + 0.2 * random_image(48, 48, seed=1)
    result = transfer(unlabelled(content), unlabelled(style), WHOLE, builtin_engine("cat5"))
    before = (content.mean(dim=(2, 3)) - style.mean(dim=(2, 3))).abs().max()
    after = (result.mean(dim=(2, 3)) - style.mean(dim=(2, 3))).abs().max()
    assert after < before / 5


@pytest.mark.parametrize(("height", "width"), [(50, 37), (17, 64), (40, 23), (16, 16)])
def test_any_size_is_the_padded_one_cropped(
    height: int, width: int, builtin_engine: MakeEngine, random_image: MakeImage
) -> None:
    content, style = _halves(random_image(height, width)), _halves(random_image(29, 45, seed=1))
    pairs = [Pair(0, 1), Pair(1, 0)]
    result = transfer(content, style, pairs, builtin_engine("cat5"))
    assert result.shape == content.image.shape
    below, right = -height % 8, -width % 8
    padded = LabelledImage(
        F.pad(content.image, (0, right, 0, below), mode="reflect"),
        np.pad(content.labels, ((0, below), (0, right)), mode="reflect"),
    )
    expected = transfer(padded, style, pairs, builtin_engine("cat5"))
    assert torch.equal(result, expected[..., :height, :width])


@pytest.mark.parametrize("unpool", UNPOOLS)
@pytest.mark.parametrize("places", SUBSETS, ids="+".join)
def test_alpha_zero_is_the_plain_reconstruction(
    unpool: Unpool,
    places: tuple[Place, ...],
    seeded_engine: MakeEngine,
    random_image: MakeImage,
    unlabelled: Unlabelled,
) -> None:
    engine, content, style = seeded_engine(unpool), random_image(32, 40), random_image(24, 32)
    result = transfer(
        _halves(content), unlabelled(style), [Pair(1, 0)], engine, alpha=0.0, places=places
    )
    assert torch.equal(result, _reconstruct(engine, content))


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_every_place_has_an_effect_of_its_own(
    unpool: Unpool, seeded_engine: MakeEngine, random_image: MakeImage, unlabelled: Unlabelled
) -> None:
    engine = seeded_engine(unpool)
    content, style = unlabelled(random_image(32, 40)), unlabelled(0.5 * random_image(24, 32))
    results = [transfer(content, style, WHOLE, engine, places=places) for places in SUBSETS]
    results.append(_reconstruct(engine, content.image))
    for one, other in combinations(results, 2):
        assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("pairs", [[], [Pair(7, 0)], [Pair(0, 9)]], ids=str)
@pytest.mark.parametrize("unpool", UNPOOLS)
def test_without_a_pair_that_exists_the_content_is_reconstructed(
    unpool: Unpool,
    pairs: list[Pair],
    seeded_engine: MakeEngine,
    random_image: MakeImage,
    unlabelled: Unlabelled,
) -> None:
    content, style = unlabelled(random_image(32, 48)), unlabelled(random_image(40, 32))
    result = transfer(content, style, pairs, seeded_engine(unpool))
    assert torch.equal(result, _reconstruct(seeded_engine(unpool), content.image))


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_pixels_of_unpaired_labels_keep_their_features(
    unpool: Unpool,
    builtin_engine: MakeEngine,
    random_image: MakeImage,
    unlabelled: Unlabelled,
) -> None:
    """The built-in decoder looks at a 2x2 cell of each level alone, so regions do not mix."""
    content, style = _halves(random_image(32, 64)), unlabelled(0.3 * random_image(32, 32, seed=1))
    result = transfer(content, style, [Pair(0, 0)], builtin_engine(unpool))
    torch.testing.assert_close(result[..., 40:], content.image[..., 40:], atol=1e-5, rtol=0)
    assert (result - content.image)[..., :32].abs().mean() > 0.05


def test_regions_take_their_own_styles(builtin_engine: MakeEngine, random_image: MakeImage) -> None:
    content = _halves(random_image(32, 64))
    style_image = 0.3 * random_image(32, 64, seed=1)
    style_image[..., 32:] += 0.6
    style = _halves(style_image, left=5, right=6)
    engine = builtin_engine("cat5")
    result = transfer(content, style, [Pair(0, 6), Pair(1, 5)], engine)
    assert result[..., :32].mean() > 0.6
    assert result[..., 32:].mean() < 0.3
    swapped = transfer(content, style, [Pair(1, 5), Pair(0, 6)], engine)
    assert torch.equal(result, swapped)


def test_a_pair_without_a_style_label_takes_the_whole_style(
    builtin_engine: MakeEngine, random_image: MakeImage, unlabelled: Unlabelled
) -> None:
    content, style = _halves(random_image(32, 48)), random_image(40, 32, seed=1)
    engine = builtin_engine("cat5")
    result = transfer(content, _halves(style, 3, 4), [Pair(0, None), Pair(1, None)], engine)
    expected = transfer(content, unlabelled(style), [Pair(0, 0), Pair(1, 0)], engine)
    assert torch.equal(result, expected)


def test_a_region_that_vanishes_at_depth_is_skipped_there(
    builtin_engine: MakeEngine, random_image: MakeImage, unlabelled: Unlabelled
) -> None:
    content = unlabelled(random_image(32, 48))
    content.labels[1:4, 1:4] = 1  # no sample of the smallest feature maps falls into it
    style = unlabelled(0.3 * random_image(32, 32, seed=1))
    style.labels[16:] = 1
    engine = builtin_engine("cat5")
    places: tuple[Place, ...] = ("skip",)
    # With skips alone one region's transform does not reach the statistics of the other.
    both = transfer(content, style, [Pair(0, 0), Pair(1, 1)], engine, places=places)
    one = transfer(content, style, [Pair(0, 0)], engine, places=places)
    changed = ((both - one).abs().amax(dim=(0, 1)) > 1e-4).nonzero()
    assert len(changed) > 0
    assert changed.max() < 8  # around the small region alone


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
    unpool: Unpool,
    places: Collection[Place],
    deepest: int,
    decoded: list[int],
    builtin_engine: MakeEngine,
    random_image: MakeImage,
    unlabelled: Unlabelled,
) -> None:
    engine = CountingEngine(builtin_engine(unpool))
    photo = unlabelled(random_image(16, 24))
    transfer(photo, photo, WHOLE, engine, places=places)
    style, content = engine.passes
    assert style == [
        *(("encode", level) for level in range(1, deepest + 1)),
        *(("decode", level) for level in decoded),
    ]
    assert content == [
        *(("encode", level) for level in LEVELS),
        *(("decode", level) for level in reversed(LEVELS)),
    ]


@pytest.mark.parametrize(("pairs", "places"), [([], PLACES), (WHOLE, ())])
def test_style_is_left_alone_when_nothing_is_transferred(
    pairs: list[Pair],
    places: Collection[Place],
    builtin_engine: MakeEngine,
    random_image: MakeImage,
    unlabelled: Unlabelled,
) -> None:
    engine = CountingEngine(builtin_engine("cat5"))
    photo = unlabelled(random_image(16, 24))
    transfer(photo, photo, pairs, engine, places=places)
    assert len(engine.passes) == 1


@pytest.mark.parametrize("role", ["content", "style"])
@pytest.mark.parametrize(("height", "width"), [(MIN_SIDE - 1, 40), (40, MIN_SIDE - 1)])
def test_a_picture_that_is_too_small_is_refused(
    role: str,
    height: int,
    width: int,
    builtin_engine: MakeEngine,
    random_image: MakeImage,
    unlabelled: Unlabelled,
    check_sentence: Callable[[object], None],
) -> None:
    pictures = {"content": random_image(32, 32), "style": random_image(32, 32)}
    pictures[role] = random_image(height, width)
    with pytest.raises(InvalidOption, match=f"{width}x{height} pixels.*at least {MIN_SIDE}") as no:
        transfer(
            unlabelled(pictures["content"]),
            unlabelled(pictures["style"]),
            WHOLE,
            builtin_engine("cat5"),
        )
    check_sentence(no.value)


def test_result_carries_no_gradient_and_inputs_stay_as_they_are(
    builtin_engine: MakeEngine, random_image: MakeImage, unlabelled: Unlabelled
) -> None:
    content, style = random_image(16, 24), random_image(24, 16)
    before = content.clone(), style.clone()
    result = transfer(unlabelled(content), unlabelled(style), WHOLE, builtin_engine("sum"))
    assert not result.requires_grad
    assert torch.equal(content, before[0])
    assert torch.equal(style, before[1])
