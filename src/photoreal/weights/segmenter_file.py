"""Segmenter in one safetensors file: weights, with class names and provenance as metadata.

Metadata, all strings: `classes` (a JSON list of names), `temperature`, `terms`, and `sources` (a
JSON list of objects, one for each set of photos that the weights were trained on).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from photoreal.errors import WeightsError


@dataclass(frozen=True)
class About:
    """Metadata of a segmenter's weights.

    `temperature` calibrates the probabilities; `sources` are the sets of training photos, each with
    `name`, `about`, `terms` and the number of its `photos`; `terms` are those of the weights.
    """

    classes: tuple[str, ...]
    temperature: float = 1.0
    terms: str = ""
    sources: tuple[dict[str, str], ...] = ()


def write_segmenter_file(path: Path, state: Mapping[str, Tensor], about: About) -> None:
    """Write a segmenter's parameters, replacing the file at `path` atomically.

    Convolution weights are stored in float16. Vectors stay in float32: they are small, and a
    running variance may exceed 65504, the maximum of float16. Raises WeightsError, before anything
    is written, when a value would not be finite.
    """
    compact = {
        name: _plain(value, torch.float16 if value.ndim > 1 else torch.float32)
        for name, value in state.items()
        if value.is_floating_point()
    }
    unsound = [name for name, value in compact.items() if not torch.isfinite(value).all()]
    if unsound:
        raise WeightsError(
            f"The segmenter cannot be saved: {', '.join(unsound[:4])} would hold values that are"
            " not finite; expected numbers, those of convolutions up to 65504."
        )
    metadata = {
        "classes": json.dumps(about.classes),
        "temperature": repr(about.temperature),
        "terms": about.terms,
        "sources": json.dumps(about.sources, ensure_ascii=False),
    }
    aside = path.with_name(f"{path.name}.new")
    aside.write_bytes(save(compact, metadata))
    aside.replace(path)


def _plain(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.detach().cpu().to(dtype).contiguous()


def read_segmenter_file(path: Path) -> tuple[dict[str, Tensor], About]:
    """Read a file of `write_segmenter_file`; raises WeightsError for anything else."""
    try:
        with safe_open(path, framework="pt") as file:
            about = _about(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{path.name} holds no segmenter that can be read; expected a safetensors file that"
            " photoreal train-segmenter wrote."
        ) from error


def _about(metadata: Mapping[str, str]) -> About:
    about = About(
        tuple(json.loads(metadata["classes"])),
        float(metadata["temperature"]),
        metadata["terms"],
        tuple(json.loads(metadata["sources"])),
    )
    if not 0 < about.temperature < math.inf:
        raise ValueError(f"a temperature of {about.temperature}")
    return about
