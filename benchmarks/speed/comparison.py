"""Whole requests to the server against the plain PyTorch baseline, alternating in one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from judging.metrics import Floats, psnr
from pictures import LIMITS, Files, transfer_inputs
from serving import BenchmarkFailed, knows_style, timed_request
from tables import Cell, Column, Part, Spread

from photoreal.client import StylizeResult
from photoreal.options import DEFAULT_METHOD, Method
from photoreal.preprocess import decode_photo, encode_photo
from photoreal.serve.launch.launcher import Server
from speed.plain_process import plain_process

LEAST_PSNR = 50.0
"""Minimum PSNR of the published method's picture in dB; below it the computations differ."""

METHODS: tuple[Method, ...] = ("published", DEFAULT_METHOD, "color")

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
    the PSNR of the published method's picture to the baseline's is below `LEAST_PSNR`.
    """
    inputs = transfer_inputs(files, size)
    _, height, width = inputs.content.shape
    note = (
        f"{width}x{height} pixels, {len(inputs.pairs)} regions, {rounds} turns. The baseline is"
        " the transfer alone, in a process without the server's settings of memory and threads; a"
        " server's time is the whole request over HTTP with decoding, masks and encoding."
    )
    notes = [note]
    requests: dict[str, tuple[Server, Method]] = {}
    for method in METHODS:  # each warm-up allocates memory and caches the style
        requests[f"{method}, style new"] = cold, method
        timed_request(cold, files, size, method)
        timed_request(warm, files, size, method)
        if knows_style(timed_request(warm, files, size, method)[1]):
            requests[f"{method}, style known"] = warm, method
        else:
            notes.append(f"No style is kept for {method}: it has no row for a known style.")
    base: list[float] = []
    seconds: dict[str, list[float]] = {name: [] for name in requests}
    decibels: dict[str, list[float]] = {name: [] for name in requests}
    with plain_process(repository) as plain:
        plain(inputs)
        for _ in range(rounds):
            elapsed, picture, peak_bytes = plain(inputs)
            base.append(elapsed)
            expected = _pixels(encode_photo(picture))
            for name, (server, method) in requests.items():
                elapsed, result = timed_request(server, files, size, method)
                seconds[name].append(elapsed)
                if method == "published":
                    decibels[name].append(_agreement(expected, result, name))
    notes.append(f"The baseline's process peaks at {peak_bytes / 1e6:.0f} MB.")
    rows: list[dict[str, Cell]] = [{"what": "baseline, plain PyTorch", "seconds": Spread.of(base)}]
    for name, values in seconds.items():
        row: dict[str, Cell] = {"what": name, "seconds": Spread.of(values)}
        row["ratio"] = Spread.of(ours / theirs for ours, theirs in zip(base, values, strict=True))
        if decibels[name]:
            row["psnr_db"] = Spread.of(decibels[name])
        rows.append(row)
    return Part(title, _COLUMNS, rows, notes)


def _agreement(expected: Floats, result: StylizeResult, name: str) -> float:
    found = psnr(expected, _pixels(result.png))
    if found < LEAST_PSNR:
        raise BenchmarkFailed(
            f"The picture of {name} is {found:.1f} dB from the baseline's; expected at least"
            f" {LEAST_PSNR:.0f} dB, so the times do not compare."
        )
    return found


def _pixels(png: bytes) -> Floats:
    """Decode a PNG to (3, H, W) in 0..1."""
    return decode_photo(png, "result", LIMITS).transpose(2, 0, 1) / np.float32(255)
