"""A style's feature moments as a safetensors file: output and input of `wct2`, part of a preset.

For each place such as `encoder.1`, in which n regions are present: `encoder.1.regions` (n,) uint8,
`encoder.1.means` (n, C) float32, and `encoder.1.covariances` (n, C (C + 1) / 2) float32, the lower
triangles row by row, which are all that a symmetric root depends on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch

from photoreal.contract import BANDS, CHANNELS, Place
from photoreal.errors import InvalidOption
from photoreal.pipeline.presets.tensor_file import (
    Array,
    read_tensors,
    take,
    take_regions,
    write_tensors,
)
from photoreal.regions import MAX_REGIONS
from photoreal.transfer.progressive import LevelPlace
from photoreal.transfer.soft_transfer import SoftMeasures
from photoreal.transfer.whitening import Moments


def measured_places(depth: int) -> dict[LevelPlace, Place]:
    """The places in a file of networks of a depth, and the options of `transfer_at` they serve."""
    poolings = range(1, depth)
    return {
        **{("encoder", level): "encoder" for level in (*poolings, depth)},
        **{(band, pooling): "skip" for band in BANDS for pooling in poolings},
        **{("decoder", level): "decoder" for level in poolings},
    }


def write_measures(measures: SoftMeasures, weights: str) -> bytes:
    """Write the moments at all places, as measured with the networks that `weights` identifies."""
    tensors: dict[str, Array] = {}
    for place, found in measures.items():
        channels = CHANNELS[place[1]]
        rows, columns = np.tril_indices(channels)
        means = [one.mean.cpu().numpy().ravel() for one in found.values()]
        lower = [one.covariance.cpu().numpy()[rows, columns] for one in found.values()]
        name = _name(place)
        tensors[f"{name}.regions"] = np.array(list(found), dtype=np.uint8)
        tensors[f"{name}.means"] = np.array(means, dtype=np.float32).reshape(-1, channels)
        tensors[f"{name}.covariances"] = np.array(lower, dtype=np.float32).reshape(-1, len(rows))
    return write_tensors({"weights": weights}, tensors)


def read_measures(data: bytes, weights: str, device: torch.device, depth: int) -> SoftMeasures:
    """Read the moments at all places from a file or a preset, to the device of the features.

    `depth` is that of the networks.

    Raises InvalidOption for a damaged file, and for one of other networks than `weights`.
    """
    try:
        about, tensors = read_tensors(data)
        theirs = about.get("weights")
        if theirs == weights:
            return {place: _moments(place, tensors, device) for place in measured_places(depth)}
    except ValueError as error:
        raise InvalidOption(
            f"The preset cannot be used: {error}; expected a file that photoreal preset wrote."
        ) from error
    raise InvalidOption(
        f"The preset was measured with the weights {str(theirs)[:40]!r}, but those here are"
        f" {weights!r}; measure the style again with photoreal preset, or use the method color."
    )


def measures_at(measures: SoftMeasures, places: Collection[Place], depth: int) -> SoftMeasures:
    """Select the moments that a transfer at these places needs."""
    every = measured_places(depth)
    found = {place: measures[place] for place, used_by in every.items() if used_by in places}
    if "decoder" in places and "encoder" not in places:
        # Without a transform in the encoder, the decoder begins with the encoder's features.
        found["decoder", depth] = measures["encoder", depth]
    return found


def _name(place: LevelPlace) -> str:
    return f"{place[0]}.{place[1]}"


def _moments(
    place: LevelPlace, tensors: Mapping[str, Array], device: torch.device
) -> dict[int, Moments]:
    channels, name = CHANNELS[place[1]], _name(place)
    present = take_regions(tensors, f"{name}.regions", MAX_REGIONS)
    rows, columns = np.tril_indices(channels)
    means = take(tensors, f"{name}.means", "float32", len(present), channels)
    lower = take(tensors, f"{name}.covariances", "float32", len(present), len(rows))
    covariances: Any = np.zeros((len(present), channels, channels), dtype=np.float32)
    covariances[:, rows, columns] = lower
    covariances[:, columns, rows] = lower
    for region, covariance in zip(present, covariances, strict=True):
        if not _is_covariance(covariance):
            raise ValueError(f"{name}.covariances of region {region} have a negative variance")
    # The range of a style's values is not used.
    return {
        region: Moments(
            torch.from_numpy(mean[:, None].copy()).to(device),
            torch.from_numpy(covariance).to(device),
            0.0,
            0.0,
        )
        for region, mean, covariance in zip(present, means, covariances, strict=True)
    }


def _is_covariance(matrix: Array) -> bool:
    """Whether a symmetric matrix has no eigenvalue below -1, so that the roots need no clamping."""
    shifted = torch.from_numpy(matrix).double()
    shifted.diagonal().add_(1.0)
    return int(torch.linalg.cholesky_ex(shifted).info) == 0
