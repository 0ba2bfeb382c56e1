"""The engine that runs the networks of `wct2`: in its process, or as calls to other models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from photoreal.contract import UNPOOL_PARAMETER, UNPOOLS, WEIGHTS_FILE, Unpool
from photoreal.cores import available_cores
from photoreal.errors import ServeError
from photoreal.networks.fast import kernels
from photoreal.serve.backend.adapter import engine_name, parameter
from photoreal.serve.backend.bls import BlsEngine
from photoreal.serve.backend.device import chosen_placement, require_cuda
from photoreal.transfer import roots
from photoreal.transfer.progressive import Engine, NetworkEngine
from photoreal.weights.networks import load_bundle, load_wct2


def make_engine(triton: Any, model_config: str, version_folder: Path) -> Engine:
    """The engine that the environment or the config asks for; raises ServeError, WeightsError."""
    unpool = parameter(model_config, UNPOOL_PARAMETER, UNPOOLS[0])
    if unpool not in UNPOOLS:
        raise ServeError(f"Unpooling {unpool!r} is not known; expected {' or '.join(UNPOOLS)}.")
    way: Unpool = "cat5" if unpool == "cat5" else "sum"
    torch.set_num_threads(available_cores())
    if engine_name(model_config) == "bls":
        return BlsEngine(triton, way)
    placement = chosen_placement(model_config)
    if placement.device == "cpu":
        kernels.prepare()  # here rather than in the first request
    else:
        require_cuda()
        torch.backends.cudnn.allow_tf32 = False  # else fp32 would be half precision by stealth
        roots.prepare(torch.device(placement.device))
    bundle = version_folder / WEIGHTS_FILE
    networks = load_bundle(bundle) if bundle.exists() else load_wct2(unpool=way)
    return NetworkEngine(
        *networks,
        placement.device,
        dtype=torch.float16 if placement.half else torch.float32,
        channels_last=placement.half,
    )


def engine_for(engine: Engine, request: Any) -> Engine:
    """The engine for one request: calls to other models carry its id and belong to its trace."""
    return engine.serving(request) if isinstance(engine, BlsEngine) else engine
