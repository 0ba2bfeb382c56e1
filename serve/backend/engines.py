"""Engine that runs the networks of `wct2`: in its own process, or as calls to other models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from photoreal.contract import UNPOOL_PARAMETER, UNPOOLS, WEIGHTS_FILE, Unpool
from photoreal.cores import available_cores
from photoreal.errors import ServeError
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.pipeline.engine import network_engine
from photoreal.serve.backend.adapter import engine_name, parameter
from photoreal.serve.backend.bls import BlsEngine
from photoreal.serve.backend.device import chosen_placement, require_cuda
from photoreal.transfer.progressive import Engine
from photoreal.weights.networks import fingerprint, load_bundle, load_wct2


def make_engine(triton: Any, model_config: str, version_folder: Path) -> Engine:
    """Create the engine that environment or config select; raises ServeError, WeightsError."""
    way = _unpool(model_config)
    torch.set_num_threads(available_cores())
    if engine_name(model_config) == "bls":
        _, deepest = _networks(version_folder, way)
        return BlsEngine(triton, way, deepest.depth)
    placement = chosen_placement(model_config)
    if placement.device == "cuda":
        require_cuda()
    networks = _networks(version_folder, way)
    return network_engine(*networks, placement.device, half=placement.half)


def weights_of(model_config: str, version_folder: Path) -> str:
    """Identify the weights of either engine, for presets; raises ServeError, WeightsError."""
    return fingerprint(*_networks(version_folder, _unpool(model_config)))


def _unpool(model_config: str) -> Unpool:
    unpool = parameter(model_config, UNPOOL_PARAMETER, UNPOOLS[0])
    if unpool not in UNPOOLS:
        raise ServeError(f"Unpooling {unpool!r} is not known; expected {' or '.join(UNPOOLS)}.")
    return "cat5" if unpool == "cat5" else "sum"


def _networks(version_folder: Path, unpool: Unpool) -> tuple[Encoder, Decoder]:
    bundle = version_folder / WEIGHTS_FILE
    return load_bundle(bundle) if bundle.exists() else load_wct2(unpool=unpool)


def engine_for(engine: Engine, request: Any) -> Engine:
    """Return the engine for one request, whose calls carry its id and belong to its trace."""
    return engine.serving(request) if isinstance(engine, BlsEngine) else engine
