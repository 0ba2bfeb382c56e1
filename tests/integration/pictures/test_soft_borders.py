"""Region borders of the method `published`, hard and soft, through the real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from photoreal.client import StylizeResult
from photoreal.contract import DEFAULT_BLEND
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

SIZE = 32
"""The pictures are so small that they keep their size."""
BORDER = 48

Ask = Callable[..., StylizeResult]


@pytest.fixture(scope="module")
def ask(local: Server, stylize: Callable[..., StylizeResult]) -> Ask:
    """Stylizes noise of two regions side by side: dark and faint, light and strong in the style."""
    random = np.random.default_rng(0)
    content = random.integers(60, 200, (SIZE, 2 * BORDER, 3)).astype(np.uint8)
    labels = np.zeros((SIZE, 2 * BORDER), dtype=np.uint8)
    labels[:, BORDER:] = 1
    style = np.where(labels[..., None] == 0, 20 + content // 8, 55 + content).astype(np.uint8)

    def run(protocol: str = "http", **options: Any) -> StylizeResult:
        return stylize(
            local,
            protocol,
            content=content,
            style=style,
            content_mask=labels,
            style_mask=labels,
            size=SIZE,
            method="published",
            **options,
        )

    return run


def _pixels(result: StylizeResult) -> npt.NDArray[np.float64]:
    return np.asarray(result.image, dtype=np.float64)


def _changed_columns(one: StylizeResult, other: StylizeResult) -> npt.NDArray[np.intp]:
    """Columns that differ by more than rounding."""
    return np.flatnonzero((np.abs(_pixels(one) - _pixels(other)) > 1).any(axis=(0, 2)))


@pytest.mark.parametrize("match", ["published", "nearest"])
def test_default_is_the_rule_s(match: Any, ask: Ask) -> None:
    default = ask(match=match)
    assert ask(match=match, blend=DEFAULT_BLEND[match]).png == default.png
    assert ask(match=match, blend=12).png != default.png


def test_both_protocols_give_the_same_bytes(ask: Ask) -> None:
    http, grpc = (ask(protocol, blend=5) for protocol in ("http", "grpc"))
    assert http.png == grpc.png


@pytest.mark.parametrize("blend", [3, 8, 20])
def test_a_soft_border_changes_what_is_near_it(blend: int, ask: Ask) -> None:
    """With skips alone no place's result reaches the statistics of another."""
    hard, soft = (ask(transfer_at="skip", blend=pixels) for pixels in (0, blend))
    changed = _changed_columns(hard, soft)
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


def test_regions_that_match_nothing_may_have_soft_borders(
    local: Server, stylize: Callable[..., StylizeResult]
) -> None:
    gray = np.full((16, 16, 3), 99, dtype=np.uint8)
    masks = [np.full((16, 16), value, dtype=np.uint8) for value in (3, 4)]
    masks[0][:, 8:] = 5
    result = stylize(
        local,
        content=gray,
        style=gray,
        content_mask=masks[0],
        style_mask=masks[1],
        size=16,
        blend=4,
        method="published",
    )
    assert result.report["unstyled"] == [3, 5]
