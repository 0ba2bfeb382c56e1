"""Moving the pixels of regions out of feature maps and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from photoreal.transfer import region_pixels
from photoreal.transfer.region_pixels import BLOCK, RegionLayout, RegionPixels, find, find_queued

CPU = torch.device("cpu")
PIXELS = 3 * BLOCK + 100

Indices = npt.NDArray[np.intp]


REGIONS: dict[str, Indices] = {
    "one pixel": np.array([77]),
    "all": np.arange(PIXELS),
    "one run within a block": np.arange(50, 90),
    "one run over blocks": np.arange(40, 2 * BLOCK + 300),
    "exactly a block": np.arange(10, 10 + BLOCK),
    "many runs": np.flatnonzero(np.arange(PIXELS) % 97 < 60),
    "scattered pixels": np.arange(1, PIXELS, 3),
    "short runs": np.flatnonzero(np.arange(PIXELS) % 8 < 3),
    "first and last pixel": np.array([0, PIXELS - 1]),
}


def _features(*, by_pixel: bool = False) -> Tensor:
    features = torch.arange(2.0 * PIXELS).view(2, PIXELS)
    return features.T.contiguous().T if by_pixel else features


def _find_one(indices: Indices, *, queued: bool) -> RegionPixels:
    labels = np.zeros(PIXELS, dtype=np.uint8)
    labels[indices] = 7
    return find_queued(labels, [7], CPU)[7] if queued else find(labels, 7)


@pytest.mark.parametrize("by_pixel", [False, True])
@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("indices", REGIONS.values(), ids=REGIONS)
def test_blocks_hold_each_pixel_of_the_region_once_and_can_be_put_back(
    indices: Indices, queued: bool, by_pixel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region_pixels, "QUEUED_BLOCK", BLOCK)
    features, inside = _features(by_pixel=by_pixel), torch.from_numpy(indices)
    pixels = _find_one(indices, queued=queued)
    blocks = [block.take(features) for block in pixels]
    assert torch.equal(torch.cat(blocks, dim=1), features[:, inside])
    assert all(0 < block.shape[1] <= BLOCK for block in blocks)
    assert len(blocks) == -(-indices.size // BLOCK)

    expected, pointer = features.clone(), features.data_ptr()
    expected[:, inside] += 0.5
    for block, values in zip(pixels, blocks, strict=True):
        block.put_(features, values + 0.5)
    assert torch.equal(features, expected)
    assert features.data_ptr() == pointer


def test_a_run_in_one_piece_is_not_copied() -> None:
    features = _features()
    (block,) = _find_one(np.arange(50, 90), queued=False)
    assert block.take(features).data_ptr() == features[:, 50:].data_ptr()


def test_a_region_of_all_pixels_needs_no_indices() -> None:
    features, labels = _features(), np.zeros(PIXELS, dtype=np.uint8)
    for found in (find(labels, None), find_queued(labels, [None, 3], CPU)[None]):
        blocks = [block.take(features) for block in found]
        assert torch.equal(torch.cat(blocks, dim=1), features)
        assert blocks[0].data_ptr() == features.data_ptr()
    assert not find(labels, 3)
    assert not find_queued(labels, [None, 3], CPU)[3]


def test_layout_follows_the_size_of_the_features() -> None:
    labels = np.zeros((16, 24), dtype=np.uint8)
    labels[:, 12:], labels[0, 1] = 1, 2
    layout = RegionLayout(labels, [1, 2, None, 9])
    for stride in (1, 2, 8):
        features = torch.arange(384.0 // stride**2).view(1, 1, 16 // stride, 24 // stride)
        found = layout.at(features)
        # The single pixel is lost at half the size; a label 9 was never there.
        assert set(found) == ({1, 2, None} if stride == 1 else {1, None})
        right = torch.cat([block.take(features[0].flatten(1)) for block in found[1]], dim=1)
        assert torch.equal(right, features[0, :, :, 12 // stride :].flatten(1))
        assert layout.at(features) is found
