"""Differences between a CPU and an asynchronous device such as a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


def is_queued(device: torch.device) -> bool:
    """Whether a device runs asynchronously, so that reading a result synchronizes with it."""
    return device.type != "cpu"


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, from a CPU without synchronizing with the device."""
    if device.type == "cuda" and not is_queued(tensor.device):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
