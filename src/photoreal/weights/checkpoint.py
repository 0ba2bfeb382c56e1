"""Checkpoints: safe loading, and validation with clear errors.

Files are plain state dicts with the published entry names and are read with `weights_only=True`,
so that a file cannot run code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from photoreal.errors import WeightsError
from photoreal.networks.wavelet import FILTERS

# Entries of published batch normalization layers that inference does not need.
_BOOKKEEPING = ("num_batches_tracked", "_tmp_running_mean", "_tmp_running_var", "_running_iter")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a file; raises WeightsError if it is missing or invalid."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(
            f"The checkpoint {path.name} is missing; expected it in {path.parent}."
        ) from None
    except Exception as error:  # the unpickler can raise anything on damaged files
        raise WeightsError(
            f"{path.name} is not a checkpoint that can be loaded safely; expected a state dict"
            " saved with torch.save."
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise WeightsError(f"{path.name} contains no state dict; expected names and tensors.")
    return dict(content)


def existing_folder(weights: str | Path) -> Path:
    """Return `weights` as a path; raises WeightsError if the folder does not exist."""
    folder = Path(weights)
    if not folder.is_dir():
        raise WeightsError(f"There is no weight set or folder {str(weights)!r}.")
    return folder


def load_parameters(module: nn.Module, parameters: Mapping[str, Tensor], source: str) -> None:
    """Load every parameter of `module` from `parameters`, strictly.

    Haar filters, which published files contain although they are constants, are compared with the
    constants. Raises WeightsError naming the entries that are missing, unknown, not finite or of
    the wrong shape.
    """
    expected = {
        name: value
        for name, value in module.state_dict().items()
        if not name.endswith(_BOOKKEEPING)
    }
    given = {name: value for name, value in parameters.items() if not name.endswith(_BOOKKEEPING)}
    haar = {name: given.pop(name) for name in list(given) if _haar_filter(name) is not None}
    problems = [f"{name} is missing" for name in expected if name not in given]
    problems += [f"{name} is not known" for name in given if name not in expected]
    for name in expected.keys() & given.keys():
        if given[name].shape != expected[name].shape:
            problems.append(f"{name} is {_shape(given[name])}, expected {_shape(expected[name])}")
        elif not torch.isfinite(given[name]).all():
            problems.append(f"{name} holds values that are not finite")
    problems += [
        f"{name} is no Haar filter" for name, value in haar.items() if not _is_haar(name, value)
    ]
    if problems:
        more = f", and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise WeightsError(
            f"{source} does not fit the network: {'; '.join(sorted(problems)[:4])}{more}."
        )
    state = {name: value.to(expected[name].dtype) for name, value in given.items()}
    module.load_state_dict(state, strict=False)  # bookkeeping buffers keep their initial values


def _haar_filter(name: str) -> tuple[float, ...] | None:
    parts = name.split(".")
    pooling = len(parts) == 3 and parts[0].startswith(("pool", "recon_block"))
    return FILTERS.get(parts[1]) if pooling and parts[2] == "weight" else None


def _is_haar(name: str, value: Tensor) -> bool:
    taps = _haar_filter(name)
    if taps is None or value.ndim != 4 or tuple(value.shape[1:]) != (1, 2, 2):
        return False
    return torch.allclose(value.float(), torch.tensor(taps).view(1, 1, 2, 2), atol=1e-3)


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a single number"
