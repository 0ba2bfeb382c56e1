"""The reference cases of the published code, for any engine (tests/data/README.md)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from photoreal import regions
from photoreal.contract import Unpool
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.networks.wavelet import FILTERS
from photoreal.transfer.progressive import Engine, LabelledImage, transfer
from photoreal.weights.checkpoint import load_parameters

Array = npt.NDArray[Any]
SEED = 7
TOLERANCE = 10
"""Times the error of the published code in float32 that is allowed."""

DATA = Path(__file__).parent / "data"


def cases() -> list[dict[str, Any]]:
    """What the cases are."""
    found: list[dict[str, Any]] = json.loads((DATA / "wct2" / "cases.json").read_text())["cases"]
    return found


def case_arrays() -> dict[str, Array]:
    """Pictures, masks and results of all cases."""
    with np.load(DATA / "wct2" / "cases.npz") as archive:
        return dict(archive)


def case_error(case: Mapping[str, Any], arrays: Mapping[str, Array], engine: Engine) -> float:
    """The largest error of an engine in a case, as a multiple of the published code's."""
    pictures = []
    for role in ("content", "style"):
        image = arrays[f"c{case['case']}_{role}"]
        labels = arrays.get(f"c{case['case']}_{role}_mask")
        if labels is None:
            labels = np.zeros(image.shape[2:], dtype=np.uint8)
        pictures.append(LabelledImage(torch.from_numpy(image), labels))
    content, style = pictures
    result = transfer(
        content,
        style,
        regions.match_published(content.labels, style.labels),
        engine,
        alpha=case["alpha"],
        places=case["transfer_at"],
    )
    error = np.abs(result.float().cpu().numpy() - arrays[f"c{case['case']}_output"]).max()
    return float(error / case["float32_max_abs_error"])


def seeded_wct2(unpool: Unpool) -> tuple[Encoder, Decoder]:
    """WCT2's networks with seeded parameters."""
    encoder, decoder = Encoder(unpool), Decoder(unpool)
    for network, name in ((encoder, "encoder"), (decoder, "decoder")):
        load_parameters(network, seeded_state(f"wave_{name}_{unpool}_l4.pth"), name)
    return encoder.eval().requires_grad_(False), decoder.eval().requires_grad_(False)


@cache
def published_shapes() -> dict[str, dict[str, list[int]]]:
    """For each published checkpoint file the shapes of its entries, by name."""
    shapes: dict[str, dict[str, list[int]]] = {}
    for model in ("wct2", "segmenter"):
        shapes |= json.loads((DATA / model / "state_dict_shapes.json").read_text())
    return shapes


def seeded_state(file: str) -> dict[str, Tensor]:
    """The seeded content of a published checkpoint file."""
    return {name: seeded_entry(name, shape) for name, shape in published_shapes()[file].items()}


def seeded_module(module: nn.Module) -> nn.Module:
    """The module with every entry at its seeded value, for inference."""
    state = module.state_dict()
    module.load_state_dict({name: seeded_entry(name, value.shape) for name, value in state.items()})
    return module.eval().requires_grad_(False)


def seeded_parameter(name: str, shape: Sequence[int]) -> Array:
    """The value of a state-dict entry in the reference computations."""
    generator = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    if name.endswith("num_batches_tracked"):
        return np.array(1000, dtype=np.int64)
    if name.endswith("running_var"):
        value = 0.5 + generator.random(shape)
    elif name.endswith("running_mean"):
        value = 0.05 * generator.standard_normal(shape)
    elif len(shape) == 1 and name.endswith("weight"):  # the scale of a batch normalisation
        value = 0.8 + 0.4 * generator.random(shape)
    elif len(shape) == 1:
        value = 0.02 * generator.standard_normal(shape)
    else:
        gain = 20.0 if name == "conv0.weight" else 1.0
        fan_in = int(np.prod(shape[1:]))
        value = gain * generator.standard_normal(shape) * np.sqrt(2.0 / fan_in)
    return value.astype(np.float32)


def seeded_entry(name: str, shape: Sequence[int]) -> Tensor:
    """`seeded_parameter` as a tensor; a Haar filter has its true values."""
    band = name.split(".")[1] if name.count(".") == 2 else ""
    if band in FILTERS:
        return torch.tensor(FILTERS[band]).view(1, 1, 2, 2).expand(tuple(shape)).clone()
    return torch.from_numpy(seeded_parameter(name, shape))
