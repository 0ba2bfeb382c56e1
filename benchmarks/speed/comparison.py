"""Whole requests to the server against the plain PyTorch baseline, alternating in one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from judging.metrics import Floats, psnr
from pictures import LIMITS, Files, transfer_inputs
from serving import BenchmarkFailed, timed_request
from tables import Cell, Column, Part, Spread

from photoreal.client import StylizeResult
from photoreal.options import Method
from photoreal.preprocess import decode_photo, encode_photo
from photoreal.serve.launch.launcher import Server
from speed.memory import session_processes, watched
from speed.plain_process import plain_process

LEAST_PSNR = 50.0
"""Minimum PSNR of a picture to the plain one in dB; below it the computations differ."""


class Kind(NamedTuple):
    """Requests of one kind: with drawn masks or found regions, by a method."""

    name: str
    masks: bool
    method: Method

    def request(self, files: Files, side: int) -> tuple[Files, dict[str, Any]]:
        """Files and options; all is default but that `published` works at the content's size."""
        size = {"size": side} if self.method == "published" else {}
        return files if self.masks else files.without_masks(), {"method": self.method, **size}


MASKED = Kind("default, masks", masks=True, method="wct2")
KINDS = (
    Kind("default", masks=False, method="wct2"),
    MASKED,
    Kind("color", masks=False, method="color"),
    Kind("color, masks", masks=True, method="color"),
    Kind("published, masks", masks=True, method="published"),
)

_COLUMNS = {
    "what": Column("request"),
    "seconds": Column("s", 2),
    "ratio": Column("times as fast as the baseline", 1),
    "psnr_db": Column("PSNR to the plain picture, dB", 1),
}


class _Way(NamedTuple):
    """Requests of a kind with a new style, to a server without a cache, or with a known one."""

    server: Server
    kind: Kind
    known: bool

    def send(self, files: Files, side: int, **more: Any) -> tuple[float, StylizeResult]:
        sent, options = self.kind.request(files, side)
        if not self.known:
            sent = sent.with_new_style()
        return timed_request(self.server, sent, **options, **more)

    def __str__(self) -> str:
        return f"{self.kind.name}, style {'known' if self.known else 'new'}"


def compare(
    title: str,
    repository: Path,
    servers: tuple[Server, Server],
    files: Files,
    side: int,
    rounds: int,
    kinds: Sequence[Kind] = KINDS,
) -> Part:
    """Time the baseline and requests of all `kinds`, in alternation.

    `title` is the part's title, `servers` are one without and one with a style cache, `side` is
    the shorter side of the content, `rounds` the number of turns. Raises BenchmarkFailed when a
    picture is below `LEAST_PSNR`, or a style is known that should be new, or the reverse.
    """
    cold, warm = servers
    # With masks, nothing of a style is kept for the method color.
    ways = [
        _Way(warm if known else cold, kind, known)
        for kind in kinds
        for known in (False, True)
        if not (known and kind.masks and kind.method == "color")
    ]
    inputs = transfer_inputs(files, side)
    measured: dict[_Way, list[tuple[float, float]]] = {way: [] for way in ways}
    base: list[float] = []
    with plain_process(repository) as plain:
        pictures = {}
        for kind in kinds:
            sent, options = kind.request(files, side)
            if kind.method != "published":
                pictures[kind.name] = _pixels(plain.picture(sent.request(**options, format="png")))
        with watched(session_processes(cold.pid)) as figures:  # each first request allocates memory
            for way in 2 * ways:
                way.send(files, side)
        plain.transfer(inputs)
        for _ in range(rounds):
            elapsed, picture, plain_peak = plain.transfer(inputs)
            base.append(elapsed)
            published = _pixels(encode_photo(picture))
            for way in ways:
                elapsed, result = way.send(files, side)
                cached = result.report["style"] == "cached"
                if way.kind.method != "color" and cached != way.known:
                    raise BenchmarkFailed(f"The server's style cache does not fit the row {way}.")
                if result.format != "png":  # the pictures are compared without loss, and not timed
                    _, result = way.send(files, side, format="png")
                expected = pictures.get(way.kind.name, published)
                measured[way].append((elapsed, _agreement(expected, result, str(way))))
    rows: list[dict[str, Cell]] = [{"what": "baseline, plain PyTorch", "seconds": Spread.of(base)}]
    for way, turns in measured.items():
        seconds, decibels = zip(*turns, strict=True)
        ratios = [ours / theirs for ours, theirs in zip(base, seconds, strict=True)]
        row: dict[str, Cell] = {"what": str(way), "seconds": Spread.of(seconds)}
        rows.append(row | {"ratio": Spread.of(ratios), "psnr_db": Spread.of(decibels)})
    _, height, width = inputs.content.shape
    how = (
        f"{width}x{height} pixels, {rounds} turns. The baseline is the published transfer alone at"
        f" this size, {len(inputs.pairs)} regions from masks, in a process without the server's"
        " settings of memory and threads; a server's time is the whole request over HTTP with"
        " decoding, regions and encoding, by default options: JPEG photos in, a JPEG out, a PNG"
        " with `published`. Pictures are compared as PNG. The plain picture is the baseline's for"
        " `published`; for the other methods it is made with the baseline's convolutions and the"
        " project's other code."
    )
    memory = (
        f"Peak memory of the server {max(figures) / 1e6:.0f} MB, of the baseline's process"
        f" {plain_peak / 1e6:.0f} MB."
    )
    return Part(title, _COLUMNS, rows, [how, memory])


def _agreement(expected: Floats, result: StylizeResult, name: str) -> float:
    found = psnr(expected, _pixels(result.png))
    if found < LEAST_PSNR:
        raise BenchmarkFailed(
            f"The picture of {name} is {found:.1f} dB from the plain one; expected at least"
            f" {LEAST_PSNR:.0f} dB, so the times do not compare."
        )
    return found


def _pixels(png: bytes) -> Floats:
    """Decode a PNG to (3, H, W) in 0..1."""
    return decode_photo(png, "result", LIMITS).transpose(2, 0, 1) / np.float32(255)
