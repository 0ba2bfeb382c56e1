"""Correctness checks on a device, without which its times are not valid."""

from __future__ import annotations

import torch
from pictures import square_inputs
from tables import Cell, Column, Part

from photoreal.networks.vgg import Decoder, Encoder
from photoreal.transfer.progressive import NetworkEngine, transfer
from speed.gpu_timing import labelled

LEAST_PSNR_DB = 40.0

_COLUMNS = {
    "check": Column("check"),
    "found": Column("found", 2),
    "allowed": Column("allowed"),
    "passed": Column("passed"),
}


@torch.inference_mode()
def check(networks: tuple[Encoder, Decoder], device: torch.device, size: int) -> Part:
    """Check half precision against float32 at a size; see also tests/unit/transfer/test_gpu.py."""
    tensor_floats = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        rows = _halves(networks, device, size)
    finally:
        torch.backends.cudnn.allow_tf32 = tensor_floats
    note = f"Half precision is compared with float32 at {size}x{size} pixels, three regions."
    return Part("Checks", _COLUMNS, rows, [note])


def _halves(
    networks: tuple[Encoder, Decoder], device: torch.device, size: int
) -> list[dict[str, Cell]]:
    inputs = square_inputs(size)
    content, style = labelled(inputs)
    expected = transfer(content, style, inputs.pairs, NetworkEngine(*networks, device))
    rows = []
    for last in (True, False):
        engine = NetworkEngine(*networks, device, dtype=torch.float16, channels_last=last)
        found = transfer(content, style, inputs.pairs, engine)
        error = (found.double().clamp(0, 1) - expected.double().clamp(0, 1)).square().mean()
        psnr = -10 * float(error.log10())
        name = f"fp16 against fp32, dB{', channels last' if last else ''}"
        rows.append(_row(name, psnr, f"from {LEAST_PSNR_DB:.0f}", psnr >= LEAST_PSNR_DB))
    return rows


def _row(name: str, found: float, allowed: str, passed: bool) -> dict[str, Cell]:
    return {"check": name, "found": found, "allowed": allowed, "passed": "yes" if passed else "NO"}
