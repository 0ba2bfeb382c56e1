"""Whole requests to the server against the plain PyTorch baseline, alternating in one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from judging.metrics import Floats, psnr
from serving import (
    LIMITS,
    TUNABLES,
    BenchmarkFailed,
    Files,
    knows_style,
    timed_request,
    transfer_inputs,
)
from tables import Cell, Column, Part, Spread

from photoreal.client import StylizeResult
from photoreal.preprocess import decode_photo, encode_photo
from photoreal.serve.launch.launcher import Server
from speed.plain_process import plain_process

LEAST_PSNR = 50.0
"""Minimum PSNR of the two pictures in dB; below it they are not the same computation."""

GOALS = "Goals: 3.5 times as fast with a new style, 6 times with a known one."

_COLUMNS = {
    "what": Column("what"),
    "seconds": Column("s", 2),
    "ratio": Column("times as fast as the baseline", 2),
    "psnr_db": Column("PSNR to the baseline, dB", 1),
}


def compare(
    title: str, repository: Path, cold: Server, warm: Server, files: Files, size: int, rounds: int
) -> Part:
    """Time the baseline, a server without and one with a style cache, in alternation.

    `title` is the part's title, `rounds` the number of repetitions. Raises BenchmarkFailed when
    the PSNR of a served picture to the baseline's is below `LEAST_PSNR`.
    """
    inputs = transfer_inputs(files, size)
    servers = {"server, style new": cold}
    for server in (cold, warm):  # warm-up: allocates memory and caches the style
        timed_request(server, files, size)
    _, height, width = inputs.content.shape
    note = (
        f"{width}x{height} pixels, {len(inputs.pairs)} regions, {rounds} turns. The baseline is"
        " the transfer alone, in a process without the server's settings of memory and threads; a"
        " server's time is the whole request over HTTP with decoding, masks and encoding."
    )
    notes = [note]
    if knows_style(timed_request(warm, files, size)[1]):
        servers["server, style known"] = warm
    else:
        notes.append("This server keeps no styles: there is no row for a known style.")
    baseline_s: list[float] = []
    peak_bytes = 0
    seconds: dict[str, list[float]] = {name: [] for name in servers}
    decibels: dict[str, list[float]] = {name: [] for name in servers}
    with plain_process(repository, without=TUNABLES) as plain:
        plain(inputs)
        for _ in range(rounds):
            elapsed, picture, peak_bytes = plain(inputs)
            baseline_s.append(elapsed)
            expected = _pixels(encode_photo(picture))
            for name, server in servers.items():
                elapsed, result = timed_request(server, files, size)
                seconds[name].append(elapsed)
                decibels[name].append(_agreement(expected, result, name))
    notes.append(GOALS)
    notes.append(f"The baseline's process peaks at {peak_bytes / 1e6:.0f} MB.")
    rows: list[dict[str, Cell]] = [
        {"what": "baseline, plain PyTorch", "seconds": Spread.of(baseline_s)}
    ]
    for name, values in seconds.items():
        ratios = [base / own for base, own in zip(baseline_s, values, strict=True)]
        rows.append(
            {
                "what": name,
                "seconds": Spread.of(values),
                "ratio": Spread.of(ratios),
                "psnr_db": Spread.of(decibels[name]),
            }
        )
    return Part(title, _COLUMNS, rows, notes)


def _agreement(expected: Floats, result: StylizeResult, name: str) -> float:
    found = psnr(expected, _pixels(result.png))
    if found < LEAST_PSNR:
        raise BenchmarkFailed(
            f"The picture of the {name} is {found:.1f} dB from the baseline's; expected at least"
            f" {LEAST_PSNR:.0f} dB, so the times do not compare."
        )
    return found


def _pixels(png: bytes) -> Floats:
    """Decode a PNG to (3, H, W) in 0..1."""
    return decode_photo(png, "result", LIMITS).transpose(2, 0, 1) / np.float32(255)
