"""Measures results at full resolution against direct transfers at the same size.

``.venv/bin/python benchmarks/full_resolution.py FOLDER -o OUT`` stylizes every pair twice in this
process: directly at 2 megapixels, and at the default working size, whose result is carried over.
A photo of fewer pixels is stylized directly at those, and the working size is as much smaller.
It writes ``full_resolution.json`` and ``full_resolution.md``.
"""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import click
import numpy as np
from entry import HELP, make_main, output_option
from PIL import Image
from quality_metrics import psnr, structure_kept
from quality_pairs import PhotoPair, read_pairs
from quality_run import Stylizer, prober
from serving import in_process
from tables import table
from upsampling import WAYS

from photoreal.contract import DEFAULT_SIZE
from photoreal.local_linear import FloatArray
from photoreal.preprocess import Limits
from photoreal.serve.request import FloatImage, Models, StylizeRequest, Transferred
from photoreal.serve.stylize import stylize
from photoreal.transfer import NetworkEngine
from photoreal.weights.networks import load_wct2
from photoreal.weights.segmenters import load_segmenter

DIRECT = "direct"
AGREEMENT = "(the two runs, at working size)"

_LIMITS = Limits()
_PIXELS = 2_000_000
_RATIO = 2.255  # of the shorter side of 2 megapixels at 3:2 to the default working size


class Transfers(NamedTuple):
    """Content and result (3, h, w) at working size, photo and direct result (3, H, W)."""

    content: FloatArray
    result: FloatArray
    photo: FloatArray
    direct: FloatArray


def transfers(stylizer: Stylizer, pair: PhotoPair) -> Transfers:
    """Stylize a pair at both sizes."""
    content, mask, shorter, is_large = _scaled(pair)
    request = StylizeRequest(content, pair.style, mask, pair.style_mask)
    size = DEFAULT_SIZE if is_large else round(shorter / _RATIO)
    small = _run(stylizer, replace(request, size=size))
    return Transfers(*small, *_run(stylizer, replace(request, size=shorter)))


def _run(stylizer: Stylizer, request: StylizeRequest) -> tuple[FloatImage, FloatImage]:
    """The content at working size and its result, which is not clipped."""
    found: list[tuple[FloatImage, FloatImage]] = []
    transfer = in_process(stylizer.engine)

    def noted(content: FloatImage, *arguments: Any, **options: Any) -> Transferred:
        result = transfer(content, *arguments, **options)
        found.append((content, result.image))
        return result

    segment = None if stylizer.segmenter is None else prober(stylizer.segmenter)
    stylize(request, Models(noted, segment, stylizer.classes), _LIMITS)
    return found[0]


def _scaled(pair: PhotoPair) -> tuple[bytes, bytes | None, int, bool]:
    """Content and mask at 2 megapixels at most, their shorter side, whether they had more."""
    with Image.open(io.BytesIO(pair.content)) as photo:
        scale = min(1.0, (_PIXELS / (photo.width * photo.height)) ** 0.5)
        size = round(photo.width * scale), round(photo.height * scale)
        content = _png(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    if pair.content_mask is None:
        return content, None, min(size), scale < 1
    with Image.open(io.BytesIO(pair.content_mask)) as mask:
        drawn = mask.convert("RGB") if mask.mode == "P" else mask
        return content, _png(drawn.resize(size, Image.Resampling.NEAREST)), min(size), scale < 1


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def measure(found: Transfers) -> dict[str, dict[str, float]]:
    """PSNR in dB to the direct result, structure kept and seconds, by way."""
    direct = found.direct.clip(0, 1)
    height, width = found.content.shape[1:]
    reduced = np.stack(
        [
            np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))
            for plane in np.ascontiguousarray(direct)
        ]
    )
    rows = {
        DIRECT: {"structure": structure_kept(found.photo, direct)},
        AGREEMENT: {"psnr_db": psnr(found.result.clip(0, 1), reduced.clip(0, 1))},
    }
    for name, way in WAYS.items():
        started = time.perf_counter()
        picture = way(found.content, found.result, found.photo).clip(0, 1)
        seconds = time.perf_counter() - started
        rows[name] = {
            "psnr_db": psnr(picture, direct),
            "structure": structure_kept(found.photo, picture),
            "seconds": seconds,
        }
    return rows


def as_markdown(title: str, pairs: dict[str, dict[str, Any]]) -> list[str]:
    """A table over pairs: medians, and the worst in brackets."""
    lines = []
    for way in (DIRECT, AGREEMENT, *WAYS):
        rows = [pair["ways"][way] for pair in pairs.values()]
        cells = [way]
        for key, digits in (("psnr_db", 1), ("structure", 3)):
            values = [row[key] for row in rows if key in row]
            spread = f"{median(values):.{digits}f} ({min(values):.{digits}f})" if values else ""
            cells.append(spread)
        gains = [
            pair["ways"][way]["structure"] - pair["ways"][DIRECT]["structure"]
            for pair in pairs.values()
            if "structure" in pair["ways"][way]
        ]
        cells.append(f"{min(gains):+.3f}" if gains and way != DIRECT else "")
        lines.append(cells)
    sizes = sorted(round(pair["megapixels"], 1) for pair in pairs.values())
    heads = ["way", "PSNR to direct, dB", "structure kept", "least gain over direct"]
    what = f"{len(pairs)} pairs, {sizes[0]} to {sizes[-1]} megapixels. Median (worst)."
    return [f"## {title}", "", what, "", *table(heads, lines), ""]


@click.command(context_settings=HELP)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@output_option("full_resolution.json and full_resolution.md", required=True)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Keep the transfers there, or take them from there: they take the time.",
)
def full_resolution(folders: tuple[Path, ...], output: Path, keep: Path | None) -> None:
    """Measure full resolution over the photo pairs in each of FOLDERS, or in a pairs.json.

    The layouts are those of quality.py; pairs without masks are segmented.
    """
    stylizer = Stylizer(NetworkEngine(*load_wct2()), *load_segmenter("default"))
    report: dict[str, Any] = {}
    lines = [
        "# Full resolution",
        "",
        "Ways: `benchmarks/upsampling.py`; measures: `benchmarks/quality_metrics.py`.",
        "",
    ]
    output.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        title = folder.resolve().name
        report[title] = {}
        for pair in read_pairs(folder, _LIMITS).pairs:
            click.echo(f"{title} {pair.name}", err=True)
            found = _kept(keep, f"{title}-{pair.name}", stylizer, pair)
            report[title][pair.name] = {
                "megapixels": found.photo[0].size / 1e6,
                "working_size": min(found.content.shape[1:]),
                "ways": measure(found),
            }
        lines += as_markdown(title, report[title])
    text = json.dumps(report, indent=1, allow_nan=False, default=float)
    (output / "full_resolution.json").write_text(f"{text}\n", encoding="utf-8")
    (output / "full_resolution.md").write_text("\n".join(lines), encoding="utf-8")
    click.echo("\n".join(lines))


def _kept(keep: Path | None, name: str, stylizer: Stylizer, pair: PhotoPair) -> Transfers:
    """The pair's transfers from a file of an earlier run, or made and kept for a later one."""
    if keep is None:
        return transfers(stylizer, pair)
    file = keep / f"{name}.npz"
    if file.exists():
        with np.load(file) as arrays:
            return Transfers(**arrays)
    found = transfers(stylizer, pair)
    keep.mkdir(parents=True, exist_ok=True)
    np.savez(file, **found._asdict())
    return found


main = make_main(full_resolution, __file__)


if __name__ == "__main__":
    sys.exit(main())
