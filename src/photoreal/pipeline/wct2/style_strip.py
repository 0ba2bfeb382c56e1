"""Tensor layout of `wct2`: a strip of styles side by side, and tables of region pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Unpack

import numpy as np
import numpy.typing as npt

from photoreal.contract import NO_PARTNER, WHOLE_PHOTO
from photoreal.errors import InvalidOption, InvalidRequest
from photoreal.options import PLACES, Place
from photoreal.pipeline.request import (
    FloatImage,
    MeasuredStyle,
    Shot,
    SoftStyle,
    StyleInput,
    TransferOptions,
)
from photoreal.pipeline.tensors import Array, bytes_tensor
from photoreal.regions import LabelMap, Pair, given_pairs


def wct2_inputs(
    content: FloatImage,
    content_labels: LabelMap,
    styles: Sequence[StyleInput],
    **options: Unpack[TransferOptions],
) -> dict[str, Array]:
    """Build the inputs of `wct2` for a transfer by label maps."""
    images, labels, pairs, weights = zip(*styles, strict=True)
    strip, sizes = lay_out(images)
    inputs: dict[str, Array] = {
        "CONTENT": content,
        "STYLE": strip,
        "CONTENT_LABELS": content_labels,
        "STYLE_LABELS": lay_out(labels)[0],
        "PAIRS": pairs_table(pairs),
        "ALPHA": np.array([options["alpha"]], dtype=np.float32),
        "TRANSFER_AT": bytes_tensor(",".join(options["places"])),
        "BLEND": np.array([options["blend"]], dtype=np.int32),
    }
    return inputs | _several(sizes, weights) | _of_shot(options.get("shot"))


def soft_inputs(
    content: FloatImage,
    regions: npt.NDArray[np.uint8],
    styles: Sequence[SoftStyle | MeasuredStyle],
    *,
    places: Collection[Place],
    shot: Shot | None = None,
) -> dict[str, Array]:
    """Build the inputs of `wct2` for a transfer by soft regions."""
    # Pad to the same number of planes per style; the coupling never refers to padding planes.
    count = max(style.coupling.shape[1] for style in styles)
    couplings = [_with_planes(style.coupling.T, count).T for style in styles]
    inputs: dict[str, Array] = {
        "CONTENT": content,
        "CONTENT_REGIONS": regions,
        "COUPLING": np.concatenate(couplings, axis=1).astype(np.float32),
        "TRANSFER_AT": bytes_tensor(",".join(places)),
    }
    sizes = np.zeros((0, 2), dtype=np.int32)
    photos = [style for style in styles if isinstance(style, SoftStyle)]
    if photos:
        inputs["STYLE"], sizes = lay_out([style.image for style in photos])
        planes = [_with_planes(style.regions, count) for style in photos]
        inputs["STYLE_REGIONS"] = lay_out(planes)[0]
    if len(photos) < len(styles):
        files = [b"" if isinstance(style, SoftStyle) else style.file for style in styles]
        inputs["STYLE_MEASURES"] = bytes_tensor(files)
    return inputs | _several(sizes, [style.weight for style in styles]) | _of_shot(shot)


def measuring_inputs(image: FloatImage, regions: npt.NDArray[np.uint8]) -> dict[str, Array]:
    """Build the inputs of `wct2` for measuring the soft regions (J, H, W) of a style."""
    style = SoftStyle(image, regions, np.eye(len(regions)))
    return soft_inputs(image, regions, [style], places=PLACES)


def given(inputs: Mapping[str, Array], name: str) -> Array:
    """A picture among the inputs; raises InvalidRequest if it is missing."""
    if name not in inputs:
        raise InvalidRequest(f"The input {name} is missing; wct2 requires it.")
    return inputs[name]


def style_photos(inputs: Mapping[str, Array]) -> list[Array]:
    """The photos (3, H, W) in STYLE, none if all styles are presets."""
    if "STYLE" not in inputs and "STYLE_MEASURES" in inputs:
        return []
    return cut_out(given(inputs, "STYLE"), inputs.get("STYLE_SIZES"))


def _with_planes(planes: Array, count: int) -> Array:
    rest = [(0, count - len(planes)), *[(0, 0)] * (planes.ndim - 1)]
    return np.pad(planes, rest)


def _several(sizes: Array, weights: Sequence[float]) -> dict[str, Array]:
    if len(weights) == 1:
        return {}
    shares = {"STYLE_WEIGHTS": np.array(weights, dtype=np.float32)}
    return {"STYLE_SIZES": sizes, **shares} if len(sizes) else shares


def _of_shot(shot: Shot | None) -> dict[str, Array]:
    if shot is None:
        return {}
    return {
        "SEQUENCE": bytes_tensor(shot.sequence),
        "STEADY": np.array([shot.steady], dtype=np.float32),
    }


def lay_out(pictures: Sequence[Array]) -> tuple[Array, npt.NDArray[np.int32]]:
    """Lay images (..., H, W) side by side, zero-padded at the bottom; also returns sizes (n, 2)."""
    sizes = np.array([picture.shape[-2:] for picture in pictures], dtype=np.int32)
    if len(pictures) == 1:
        return pictures[0], sizes
    tallest = sizes[:, 0].max()
    padded = [
        np.pad(picture, [(0, 0)] * (picture.ndim - 2) + [(0, tallest - height), (0, 0)])
        for picture, (height, _) in zip(pictures, sizes, strict=True)
    ]
    return np.concatenate(padded, axis=-1), sizes


def cut_out(strip: Array, sizes: Array | None) -> list[Array]:
    """Split a strip (..., H, W) into its images; without sizes the strip is a single image.

    Raises InvalidOption when the sizes do not fill the strip.
    """
    if sizes is None:
        return [strip]
    height, width = strip.shape[-2:]
    inside = sizes.size and sizes.min() > 0 and sizes[:, 0].max() == height
    if not inside or sizes[:, 1].sum(dtype=np.int64) != width:
        raise InvalidOption(
            f"STYLE_SIZES does not fit STYLE, which is {height}x{width}; expected heights up to"
            " its own and widths that add up to its own."
        )
    ends = np.cumsum(sizes[:, 1])
    return [
        strip[..., :tall, end - wide : end]
        for (tall, wide), end in zip(sizes.tolist(), ends.tolist(), strict=True)
    ]


def pairs_table(pairs: Sequence[Sequence[Pair]]) -> npt.NDArray[np.int32]:
    """Build the tensor PAIRS from the pairs of each style."""
    partners = [
        {pair.content: WHOLE_PHOTO if pair.style is None else pair.style for pair in one}
        for one in pairs
    ]
    labels = dict.fromkeys(label for partner in partners for label in partner)
    rows = [[label, *(one.get(label, NO_PARTNER) for one in partners)] for label in labels]
    return np.array(rows, dtype=np.int32).reshape(-1, 1 + len(pairs))


def read_pairs(table: Array, count: int) -> list[list[Pair]]:
    """Read the pairs of each of `count` styles; raises InvalidOption for an invalid PAIRS."""
    if table.shape[1] != 1 + count:
        raise InvalidOption(
            f"PAIRS has {table.shape[1]} columns for {count} styles; expected a content label and"
            " a style label for each."
        )
    rows = [table[:, [0, own]].tolist() for own in range(1, 1 + count)]
    return [given_pairs(row for row in own if row[1] != NO_PARTNER) for own in rows]
