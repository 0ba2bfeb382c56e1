"""Whole requests on a GPU: JPEG files in, a JPEG file out, regions found in both photos."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from statistics import median
from typing import Any

import numpy as np
from pictures import Files, photo
from tables import Cell, Column, Part, Row, Spread

from speed.gpu_timing import check_row

STAGES = ("decode", "segment", "colors", "transfer", "upsample", "encode")
CLIENTS = 8
LEAST_PSNR_DB = 35.0
"""Rounding may give a few pixels at a border to another region."""
METHODS: tuple[tuple[str, dict[str, str]], ...] = (
    ("default", {}),
    ("method color", {"method": "color"}),
)
_COLUMNS = {
    "size": Column("pixels"),
    "what": Column("request"),
    "ms": Column("ms", 1),
    "rate": Column("requests a second", 1),
    **{stage: Column(f"{stage}, ms", 1) for stage in STAGES},
}
_NOTE = (
    "JPEG files in and out; regions are found in both photos. Median (least..most); stages are"
    f" medians of those requests. The rate of one client is 1 / median, that of {CLIENTS} clients"
    " at once is counted over all of their requests. A new style has other bytes after its end."
    " Frames belong to one shot and have a known style."
)


Stylize = Callable[..., Any]
"""`Pipeline.stylize` or `StyleTransferClient.stylize`."""

_Call = Callable[[], tuple[float, Mapping[str, float]]]
"""One request: its seconds, and those of its stages."""


def whole_requests(
    stylize: Stylize, sizes: list[int], repeats: int, *, frames: bool = True
) -> Part:
    """Measure requests of square photos, one by one and at once, and `frames` of 1920x1080."""
    rows: list[dict[str, Cell]] = []
    for size in sizes:
        files = Files(photo("content", (size, size)), photo("style", (size, size)))
        square, content, known = f"{size}x{size}", files.content, files.style
        styles = (new.with_new_style().style for new in repeat(files))
        for name, options in METHODS:
            how = {"size": size, "format": "jpeg", **options}
            one = _calls(stylize, content, styles, how)
            rows.append(_row(square, f"{name}, style new", one, repeats))
            again = _calls(stylize, content, repeat(known), how)
            rows.append(_row(square, f"{name}, style known", again, repeats))
            rows.append(_at_once(square, f"{name}, style known", again, repeats))
    content, style = photo("content", (1920, 1080)), photo("style", (1920, 1080))
    for name, options in METHODS if frames else ():
        how = {"size": 1080, "format": "jpeg", "sequence": name, **options}
        frame = _calls(stylize, content, repeat(style), how)
        rows.append(_row("1920x1080", f"{name}, frames of a video", frame, repeats))
    return Part("Whole requests", _COLUMNS, rows, [_NOTE])


def request_checks(stylize: Stylize, reference: Stylize, size: int) -> list[Row]:
    """Compare the pictures of whole requests with those of the CPU, the reference."""
    files = [photo(role, (size, size)) for role in ("content", "style")]
    rows = []
    for name, options in METHODS:
        picture, expected = (
            np.asarray(way(*files, size=size, format="png", **options).image, np.float32) / 255
            for way in (stylize, reference)
        )
        what = f"{name}, against the CPU at {size}x{size} pixels"
        rows.append(check_row(what, picture, expected, LEAST_PSNR_DB))
    return rows


def _calls(
    stylize: Stylize, content: bytes, styles: Iterator[bytes], options: Mapping[str, Any]
) -> _Call:
    def call() -> tuple[float, Mapping[str, float]]:
        style = next(styles)
        started = time.perf_counter()
        result = stylize(content, style, **options)
        return time.perf_counter() - started, result.report["seconds"]

    return call


def _row(size: str, what: str, call: _Call, repeats: int) -> dict[str, Cell]:
    for _ in range(3):
        call()
    found = [call() for _ in range(repeats)]
    stages = {
        stage: 1e3 * median(seconds[stage] for _, seconds in found)
        for stage in STAGES
        if stage in found[0][1]
    }
    ms = Spread.of(1e3 * seconds for seconds, _ in found)
    return {"size": size, "what": what, "ms": ms, "rate": 1e3 / ms.median, **stages}


def _at_once(size: str, what: str, call: _Call, repeats: int) -> dict[str, Cell]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        started = time.perf_counter()
        found = list(pool.map(lambda _: call()[0], range(CLIENTS * repeats)))
        seconds = time.perf_counter() - started
    return {
        "size": size,
        "what": f"{what}, {CLIENTS} clients at once",
        "ms": Spread.of(1e3 * one for one in found),
        "rate": len(found) / seconds,
    }
