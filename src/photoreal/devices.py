"""What differs between a CPU and a device that is handed its work, such as a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


def is_queued(device: torch.device) -> bool:
    """Whether work for a device is queued, so that to read one number of a result is to wait."""
    return device.type != "cpu"


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of this process's memory on a device, without waiting for the device's work."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
