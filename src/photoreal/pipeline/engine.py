"""The networks on a device of this process, for the server's local engine and for Pipeline."""

from __future__ import annotations

import torch

from photoreal.networks.fast import kernels
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.transfer import roots
from photoreal.transfer.progressive import NetworkEngine


def network_engine(encoder: Encoder, decoder: Decoder, device: str, *, half: bool) -> NetworkEngine:
    """Build an engine on "cpu" or "cuda"; `half` selects float16 and needs a GPU.

    One-time measurement and compilation happen here rather than in the first request.
    """
    if device == "cpu":
        kernels.prepare()
    else:
        torch.backends.cudnn.allow_tf32 = False  # otherwise fp32 silently loses precision
        roots.prepare(torch.device(device))
    return NetworkEngine(
        encoder,
        decoder,
        device,
        dtype=torch.float16 if half else torch.float32,
        channels_last=half,
    )
