"""Mixes of styles: linear in what each style alone would do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from photoreal.regions import Pair
from photoreal.transfer.mixing import Ingredient, mix_styles
from photoreal.transfer.progressive import (
    LabelledImage,
    StyleMeasures,
    apply_style,
    measure_style,
    transfer,
)
from photoreal.transfer.whitening import affine_map, moments, style_statistics
from tests.shared import narrow_engine, random_image

CHANNELS = 4
PLACE = ("encoder", 1)


def _features(seed: int) -> Tensor:
    return torch.randn((CHANNELS, 200), generator=torch.Generator().manual_seed(seed))


def _measures(seed: int, *labels: int | None) -> StyleMeasures:
    return {
        PLACE: {
            label: style_statistics(moments([_features(seed + i) * (i + 1)]))
            for i, label in enumerate(labels)
        }
    }


def test_a_mix_does_the_weighted_sum_of_what_its_styles_do() -> None:
    first, second, third = (_measures(seed, 0) for seed in (10, 20, 30))
    pairs, weights = [Pair(3, 0)], (0.5, 0.3, 0.2)
    parts = zip((first, second, third), (pairs,) * 3, weights, strict=True)
    mixed, own = mix_styles([Ingredient(*part) for part in parts])
    assert own == [Pair(3, 3)]
    content = moments([_features(1)])
    found = affine_map(content, mixed[PLACE][3])
    alone = [affine_map(content, measures[PLACE][0]) for measures in (first, second, third)]
    for name in ("matrix", "offset"):
        expected = sum(w * getattr(one, name) for w, one in zip(weights, alone, strict=True))
        torch.testing.assert_close(getattr(found, name), expected)
    root = mixed[PLACE][3].root
    torch.testing.assert_close(root, root.T)
    assert torch.linalg.eigvalsh(root).min() >= 1 - 1e-5


def test_a_region_that_a_style_lacks_is_left_to_the_others() -> None:
    first, second = _measures(10, 0, 1), _measures(20, 0)
    mixed, pairs = mix_styles(
        [Ingredient(first, [Pair(0, 0), Pair(5, 1)], 0.25), Ingredient(second, [Pair(0, 0)], 0.75)]
    )
    assert pairs == [Pair(0, 0), Pair(5, 5)]
    assert torch.equal(mixed[PLACE][5].root, first[PLACE][1].root)
    expected = 0.25 * first[PLACE][0].mean + 0.75 * second[PLACE][0].mean
    torch.testing.assert_close(mixed[PLACE][0].mean, expected)


def test_a_region_that_has_vanished_everywhere_has_no_entry() -> None:
    mixed, pairs = mix_styles([Ingredient(_measures(10, 0), [Pair(0, 0), Pair(1, 7)], 1.0)])
    assert pairs == [Pair(0, 0), Pair(1, 1)]
    assert set(mixed[PLACE]) == {0}


def test_a_style_of_weight_0_adds_nothing() -> None:
    first, second = _measures(10, 0), _measures(20, 0, 1)
    mixed, pairs = mix_styles(
        [Ingredient(first, [Pair(0, 0)], 1.0), Ingredient(second, [Pair(0, 0), Pair(1, 1)], 0.0)]
    )
    assert pairs == [Pair(0, 0)]
    assert torch.equal(mixed[PLACE][0].root, first[PLACE][0].root)


@pytest.mark.parametrize("blend", [0, 2])
def test_a_mix_of_one_style_is_that_style_to_the_bit(blend: int) -> None:
    engine = narrow_engine()
    labels = np.zeros((16, 24), dtype=np.uint8)
    labels[:, 10:], labels[10:, :4] = 1, 2
    content = LabelledImage(random_image(16, 24), labels)
    style = LabelledImage(random_image(16, 24, seed=1), labels)
    pairs = [Pair(0, 1), Pair(1, None)]
    measures = measure_style(style, {1, None}, engine)
    expected = transfer(content, style, pairs, engine, blend=blend)
    for shares in ((1.0,), (0.5, 0.5)):
        mixed, own = mix_styles([Ingredient(measures, pairs, share) for share in shares])
        assert torch.equal(apply_style(content, mixed, own, engine, blend=blend), expected)
