"""Region borders of the method `published`, hard and soft, through the real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from photoreal.client import StylizeResult
from photoreal.contract import DEFAULT_BLEND
from photoreal.serve.launch.launcher import Server
from tests.kinds import Array, Stylize

pytestmark = pytest.mark.server

SIZE = 32
"""The pictures are so small that they keep their size."""
BORDER = 48

Ask = Callable[..., StylizeResult]


@pytest.fixture(scope="module")
def ask(local: Server, stylize: Stylize) -> Ask:
    """Stylizes noise of two regions side by side: dark and faint, light and strong in the style."""
    random = np.random.default_rng(0)
    content = random.integers(60, 200, (SIZE, 2 * BORDER, 3)).astype(np.uint8)
    labels = np.zeros((SIZE, 2 * BORDER), dtype=np.uint8)
    labels[:, BORDER:] = 1
    style = np.where(labels[..., None] == 0, 20 + content // 8, 55 + content).astype(np.uint8)
    photos = {"content": content, "style": style, "content_mask": labels, "style_mask": labels}
    return lambda **options: stylize(local, **photos, size=SIZE, method="published", **options)


def _pixels(result: StylizeResult) -> Array:
    return np.asarray(result.image, dtype=np.float64)


@pytest.mark.parametrize("match", ["published", "nearest"])
def test_default_is_the_rule_s(match: Any, ask: Ask) -> None:
    default = ask(match=match)
    assert ask(match=match, blend=DEFAULT_BLEND[match]).png == default.png
    assert ask(match=match, blend=12).png != default.png


@pytest.mark.parametrize("blend", [3, 20])
def test_a_soft_border_changes_what_is_near_it(blend: int, ask: Ask) -> None:
    """With skips alone no place's result reaches the statistics of another."""
    hard, soft = (_pixels(ask(transfer_at="skip", blend=pixels)) for pixels in (0, blend))
    changed = np.flatnonzero((np.abs(hard - soft) > 1).any(axis=(0, 2)))  # more than rounding
    # As far as the border is soft, and one cell of the deepest features more.
    assert changed.size
    assert changed.min() >= BORDER - blend - 8
    assert changed.max() < BORDER + blend + 8


def test_a_soft_border_has_no_step(ask: Ask) -> None:
    hard, soft = (_pixels(ask(blend=blend)).mean(axis=(0, 2)) for blend in (0, 16))
    steps = [
        line[BORDER : BORDER + 4].mean() - line[BORDER - 4 : BORDER].mean() for line in (hard, soft)
    ]
    assert steps[0] > 40
    assert 0 < steps[1] < 0.6 * steps[0]
