"""Moving the pixels of regions out of feature maps and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.region_pixels import BLOCK, RegionLayout, RegionPixels

CPU = torch.device("cpu")
PIXELS = 3 * BLOCK + 100

Indices = npt.NDArray[np.intp]


def _every(step: int, start: int = 0) -> Indices:
    return np.arange(start, PIXELS, step)


REGIONS: dict[str, Indices] = {
    "one pixel": np.array([77]),
    "all": np.arange(PIXELS),
    "one run within a block": np.arange(50, 90),
    "one run over blocks": np.arange(40, 2 * BLOCK + 300),
    "exactly a block": np.arange(10, 10 + BLOCK),
    "many runs": np.flatnonzero(np.arange(PIXELS) % 97 < 60),
    "scattered pixels": _every(3, 1),
    "short runs": np.flatnonzero(np.arange(PIXELS) % 8 < 3),
    "first and last pixel": np.array([0, PIXELS - 1]),
}


def _features() -> Tensor:
    return torch.arange(2.0 * PIXELS).view(2, PIXELS)


@pytest.mark.parametrize("indices", REGIONS.values(), ids=REGIONS)
def test_blocks_hold_each_pixel_of_the_region_once(indices: Indices) -> None:
    features = _features()
    blocks = list(RegionPixels(indices, CPU).blocks(features))
    assert torch.equal(torch.cat(blocks, dim=1), features[:, torch.from_numpy(indices)])
    assert all(0 < block.shape[1] <= BLOCK for block in blocks)
    assert len(blocks) == -(-indices.size // BLOCK)


@pytest.mark.parametrize("indices", REGIONS.values(), ids=REGIONS)
def test_a_function_changes_the_region_alone(indices: Indices) -> None:
    features = _features()
    expected = features.clone()
    expected[:, torch.from_numpy(indices)] += 0.5
    pointer = features.data_ptr()
    RegionPixels(indices, CPU).map_(features, lambda block: block + 0.5)
    assert torch.equal(features, expected)
    assert features.data_ptr() == pointer


def test_a_run_in_one_piece_is_not_copied() -> None:
    features = _features()
    (block,) = RegionPixels(np.arange(50, 90), CPU).blocks(features)
    assert block.data_ptr() == features[:, 50:].data_ptr()


def test_layout_follows_the_size_of_the_features() -> None:
    labels = np.zeros((16, 24), dtype=np.uint8)
    labels[:, 12:], labels[0, 1] = 1, 2
    layout = RegionLayout(labels, [1, 2, None, 9])
    for stride in (1, 2, 8):
        features = torch.arange(384.0 // stride**2).view(1, 1, 16 // stride, 24 // stride)
        found = layout.at(features)
        # The single pixel is lost at half the size; a label 9 was never there.
        assert set(found) == ({1, 2, None} if stride == 1 else {1, None})
        right = torch.cat(list(found[1].blocks(features[0].flatten(1))), dim=1)
        assert torch.equal(right, features[0, :, :, 12 // stride :].flatten(1))
        assert layout.at(features) is found
