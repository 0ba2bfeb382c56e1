"""Preset: a style's measured regions in one safetensors file.

A style enters a transfer only through its regions' names, traits, shares and moments. The file
holds these, and neither the photo nor a map of its regions:

- `shares` (J,) and `traits` (J, D) float32, and `pixels` (J,) int64 of the label map
- `color.means` (C, 3), `color.covariances` (C, 3, 3) and `color.tones` (C, 3, 33), the quantiles
  of luma and chroma (`photoreal.color.tones`), float64, of the regions `color.regions`
- unless measured for colors alone, the features' moments
  (`photoreal.pipeline.wct2.measures_file`)

The metadata is a JSON object: `version`, `size` (the height and width at which the photo was
measured), `source` and `kind` of the regions, and `regions`; `weights` identifies the networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from photoreal.color.align import RegionColors
from photoreal.color.tones import POINTS
from photoreal.color.transport import ColorMoments
from photoreal.errors import InvalidImage, InvalidMask
from photoreal.pipeline.presets.tensor_file import (
    Array,
    read_tensors,
    take,
    take_regions,
    write_tensors,
)
from photoreal.pipeline.request import FloatImage
from photoreal.preprocess import Limits
from photoreal.regions import LABELS, MAX_REGIONS, LabelMap
from photoreal.regions.soft import RegionInfo

VERSION = 2
SOURCES = ("masks", "segmenter", "whole")
KINDS = ("labels", "colors", "")

_MAX_NAME = 60
_MAX_TRAIT = 1e3  # traits are in about 0..2
_MAX_SIDE = 1 << 20
_TOLERANCE = 1e-6  # of color covariances, whose diagonals are below 1
_MAX_TONE = 1.0 + 1e-3  # luma is in 0..1, chroma in -0.5..0.5


@dataclass(frozen=True)
class Preset:
    """A style as measured; stands in for `SoftRegions` where no pixels are needed.

    `file` is the whole file, `size` the (H, W) at which the photo was measured. `source` is
    "masks", "segmenter" or "whole", `kind` the kind of the mask. `pixels` are the regions' counts
    in the label map. `colors` has None for a region without pixels. `weights` is empty if only
    colors were measured.
    """

    size: tuple[int, int]
    source: str
    kind: str
    infos: Sequence[RegionInfo]
    traits: FloatImage
    shares: FloatImage
    pixels: Sequence[int]
    colors: Sequence[RegionColors | None]
    weights: str = ""
    file: bytes = field(default=b"", repr=False)

    @property
    def labels(self) -> LabelMap:
        """A label map with the right number of pixels of each label, in one row."""
        table = np.array([info.label for info in self.infos], dtype=np.uint8)
        return np.repeat(table, self.pixels)[None]


def write_preset(preset: Preset, features: Mapping[str, Array]) -> bytes:
    """Write a preset with the tensors of its features' moments."""
    present = [k for k, one in enumerate(preset.colors) if one is not None]
    colors = [one for one in preset.colors if one is not None]
    moments = [one.moments for one in colors]
    about = {
        "version": VERSION,
        "size": preset.size,
        "source": preset.source,
        "kind": preset.kind,
        "regions": [list(info) for info in preset.infos],
        "weights": preset.weights,
    }
    own: dict[str, Array] = {
        "shares": preset.shares.astype(np.float32),
        "traits": preset.traits.astype(np.float32),
        "pixels": np.array(preset.pixels, dtype=np.int64),
        "color.regions": np.array(present, dtype=np.uint8),
        "color.means": np.array([one.mean for one in moments]).reshape(-1, 3),
        "color.covariances": np.array([one.covariance for one in moments]).reshape(-1, 3, 3),
        "color.tones": np.array([one.tones for one in colors]).reshape(-1, 3, POINTS),
    }
    return write_tensors(about, {**features, **own})


def read_preset(data: bytes, name: str, limits: Limits) -> Preset:
    """Read and check a preset, except for its features; `name` is the subject of messages.

    Raises InvalidImage for a file that is too large, damaged or of another version.
    """
    if len(data) > limits.max_bytes:
        raise InvalidImage(
            f"The {name} has {len(data)} bytes, more than the {limits.max_bytes} allowed."
        )
    try:
        about, tensors = read_tensors(data)
        version = about.get("version")
        if version == VERSION:
            return _read(about, tensors, data, limits)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        reason = str(error) if type(error) is ValueError else "its metadata is damaged"
        raise InvalidImage(
            f"The {name} cannot be used as a preset: {reason}; expected a file that"
            " photoreal preset wrote."
        ) from error
    raise InvalidImage(
        f"The {name} is a preset of version {str(version)[:10]!r}, but version {VERSION} is read"
        " here; measure the style again with photoreal preset."
    )


def taken_preset(preset: Preset, role: str, source: str, kind: str = "") -> Preset:
    """Return the preset if its regions go with those of the content; raises InvalidMask."""
    if source == "masks" and (preset.source != "masks" or preset.kind != kind):
        mask = {"labels": "with a gray mask", "colors": "with a mask of colors"}
        made = mask.get(preset.kind, "without a mask")
        raise InvalidMask(
            f"The {role} is a preset that was measured {made}, but the content has a mask;"
            f" expected a preset measured {mask[kind]}, or no masks."
        )
    if source == "segmenter" and preset.source == "masks":
        raise InvalidMask(
            f"The {role} is a preset whose regions are those of a mask; expected a content mask"
            " with the same labels, or a preset measured without a mask."
        )
    return preset


def _read(about: dict[str, Any], tensors: dict[str, Array], data: bytes, limits: Limits) -> Preset:
    infos = [_info(*region) for region in about["regions"]]
    count = len(infos)
    if not 1 <= count <= MAX_REGIONS or len({info.label for info in infos}) < count:
        raise ValueError(f"it has no regions, more than {MAX_REGIONS}, or one twice")
    if about["source"] not in SOURCES or about["kind"] not in KINDS:
        raise ValueError("the source of its regions is not known")
    shares = take(tensors, "shares", "float32", count)
    if shares.min() < 0.0 or not 0.99 < shares.sum(dtype=np.float64) < 1.01:
        raise ValueError("the shares of its regions do not add up to 1")
    traits = take(tensors, "traits", "float32", count, None)
    if np.abs(traits).max(initial=0.0) > _MAX_TRAIT:
        raise ValueError("the traits of its regions are out of range")
    pixels: list[int] = take(tensors, "pixels", "int64", count).tolist()
    if min(pixels) < 0 or sum(pixels) > limits.max_working_pixels:
        raise ValueError("the pixels of its regions are out of range")
    weights = about["weights"]
    if not isinstance(weights, str) or len(weights) > _MAX_NAME:
        raise ValueError("the name of its weights is damaged")
    return Preset(
        size=_size(about["size"]),
        source=about["source"],
        kind=about["kind"],
        infos=infos,
        traits=traits,
        shares=shares,
        pixels=pixels,
        colors=_colors(tensors, count),
        weights=weights,
        file=data,
    )


def _info(label: Any, name: Any, sure: Any) -> RegionInfo:
    known = isinstance(label, int) and 0 <= label < LABELS
    named = isinstance(name, int | str) and len(str(name)) <= _MAX_NAME and str(name).isprintable()
    if not known or not named or not 0.0 <= float(sure) <= 1.0:
        raise ValueError("the description of a region is damaged")
    return RegionInfo(label, name, float(sure))


def _size(given: Any) -> tuple[int, int]:
    height, width = given
    if not all(isinstance(side, int) and 1 <= side <= _MAX_SIDE for side in (height, width)):
        raise ValueError("its size is out of range")
    return height, width


def _colors(tensors: Mapping[str, Array], count: int) -> list[RegionColors | None]:
    present = take_regions(tensors, "color.regions", count)
    means = take(tensors, "color.means", "float64", len(present), 3)
    covariances = take(tensors, "color.covariances", "float64", len(present), 3, 3)
    tones = take(tensors, "color.tones", "float64", len(present), 3, POINTS)
    if np.abs(means - 0.5).max(initial=0.0) > 0.5 + _TOLERANCE:
        raise ValueError("its mean colors are not in 0 to 1")
    # Values in 0..1 have a variance of at most 1/4; an entry is bounded by the variances.
    lopsided = np.abs(covariances - covariances.swapaxes(1, 2)).max(initial=0.0)
    if lopsided > _TOLERANCE or np.abs(covariances).max(initial=0.0) > 1.0:
        raise ValueError("its covariances of colors are not symmetric or too large")
    if np.linalg.eigvalsh(covariances).min(initial=0.0) < -_TOLERANCE:
        raise ValueError("its covariances of colors have a negative variance")
    if np.abs(tones).max(initial=0.0) > _MAX_TONE or np.diff(tones).min(initial=0.0) < 0.0:
        raise ValueError("its quantiles of colors are out of range or not in order")
    found: list[RegionColors | None] = [None] * count
    for region, mean, covariance, rows in zip(present, means, covariances, tones, strict=True):
        found[region] = RegionColors(ColorMoments(mean, covariance), rows)
    return found
