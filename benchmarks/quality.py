"""Measures style transfers over a folder of photo pairs: numbers and a contact sheet.

``.venv/bin/python benchmarks/quality.py FOLDER -o OUT`` stylizes every pair in this process,
through the code that the server runs, once for each source of regions and set of places, and
writes ``quality.json``, ``quality.md`` and ``sheet.png`` to OUT.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from contact_sheet import Cell, Row, contact_sheet
from entry import HELP, make_main, output_option
from PIL import Image
from quality_pairs import InvalidPair, PhotoPair, read_pairs
from quality_report import SOURCES, Measures, Outcome, Source, Variant, as_json, as_markdown
from quality_run import Run, Stylizer, measure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from photoreal import options
from photoreal.contract import DEFAULT_SIZE, DEFAULT_TRANSFER_AT
from photoreal.errors import InvalidOption
from photoreal.preprocess import Limits, check_size
from photoreal.serve.request import FloatImage
from photoreal.transfer import NetworkEngine
from photoreal.vgg import Decoder, Encoder
from photoreal.weights.builtin import ORIGINAL_SHARE, builtin_parameters
from photoreal.weights.networks import BUILTIN, load_wct2
from photoreal.weights.segmenters import load_segmenter

_LIMITS = Limits()


def make_variants(
    sources: str | None, places: Sequence[str], *, has_segmenter: bool
) -> list[Variant]:
    """Every source of regions with every set of places.

    `sources` is a comma-separated list; None is all that are there. Raises InvalidOption for
    an unknown source or place, and for "automatic" without a segmenter.
    """
    wanted: list[Source] = [one for one in SOURCES if one != "automatic" or has_segmenter]
    if sources is not None:
        names = [name.strip() for name in sources.split(",")]
        if any(name not in SOURCES for name in names):
            raise InvalidOption(f"regions is {sources!r}; expected some of {', '.join(SOURCES)}.")
        wanted = [one for one in SOURCES if one in names]
    if "automatic" in wanted and not has_segmenter:
        raise InvalidOption("Automatic regions need a segmenter; name one with --segmenter.")
    sets = dict.fromkeys(",".join(options.parse_places(one)) for one in places)
    return [Variant(source, one) for one in sets for source in wanted]


def _networks(weights: str, original_share: float) -> tuple[Encoder, Decoder]:
    encoder, decoder = load_wct2(weights)
    if weights == BUILTIN:
        decoder.load_state_dict(builtin_parameters("cat5", original_share)[1])
    return encoder, decoder


def write_report(
    out: Path, settings: dict[str, Any], outcomes: Sequence[Outcome], sheet: Image.Image
) -> None:
    """Write ``quality.json``, ``quality.md`` and ``sheet.png`` into a folder that exists."""
    found = json.dumps(as_json(settings, outcomes), indent=1, allow_nan=False)
    (out / "quality.json").write_text(f"{found}\n", encoding="utf-8")
    (out / "quality.md").write_text(as_markdown(settings, outcomes), encoding="utf-8")
    sheet.save(out / "sheet.png")


def _sheet_row(name: str, runs: Sequence[tuple[Measures, Run] | None]) -> Row:
    """Content, style and the results of one pair; None is a variant that it cannot have."""
    inputs = next(one[1].inputs for one in runs if one is not None)
    cells = [Cell(_picture(inputs.content)), Cell(_picture(inputs.style))]
    for one in runs:
        if one is None:
            cells.append(Cell(None, "no masks"))
            continue
        measures, run = one
        seams = "" if measures.seams is None else f"  seams {measures.seams:.2f}"
        style = ""
        if measures.style_before is not None and measures.style_after is not None:
            style = f"  style {measures.style_before:.1f} > {measures.style_after:.1f}"
        cells.append(
            Cell(_picture(run.result), f"structure {measures.structure:.2f}{style}{seams}")
        )
    return Row(name, cells)


def _picture(values: FloatImage) -> Image.Image:
    return Image.fromarray(np.rint(values.transpose(1, 2, 0) * 255).astype(np.uint8))


@click.command(context_settings=HELP)
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@output_option("quality.json, quality.md and sheet.png", required=True)
@click.option(
    "--regions",
    "sources",
    metavar="LIST",
    help=f"Some of {','.join(SOURCES)}.  [default: all that are there]",
)
@click.option(
    "--segmenter",
    metavar="NAME_OR_FOLDER",
    help="The segmenter of automatic regions, as for `photoreal export`.",
)
@click.option(
    "--places",
    multiple=True,
    default=[DEFAULT_TRANSFER_AT],
    show_default=True,
    metavar="LIST",
    help="Where the transform happens; repeat to compare.",
)
@click.option("--weights", default=BUILTIN, show_default=True, metavar="NAME_OR_FOLDER")
@click.option(
    "--original-share",
    type=click.FloatRange(0, 1),
    default=ORIGINAL_SHARE,
    show_default=True,
    help="How much of the features before pooling the built-in weights take over.",
)
@click.option("--size", type=int, default=DEFAULT_SIZE, show_default=True, metavar="PIXELS")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N pairs only.")
@click.option(
    "--reconstruction/--no-reconstruction",
    default=True,
    show_default=True,
    help="Also stylize each content by itself; takes as long again.",
)
def quality(
    folder: Path,
    output: Path,
    sources: str | None,
    segmenter: str | None,
    places: tuple[str, ...],
    weights: str,
    original_share: float,
    size: int,
    limit: int | None,
    reconstruction: bool,
) -> None:
    """Measure style transfers over the photo pairs in FOLDER, or in a pairs.json.

    FOLDER holds a subfolder a pair with content, style and, if wanted, content_mask and
    style_mask, or a pairs.json. Exit codes: 0 done; 1 weights or disk failed; 2 the call has to
    be changed.
    """
    check_size(size, _LIMITS)
    variants = make_variants(sources, places, has_segmenter=segmenter is not None)
    found = read_pairs(folder, _LIMITS, limit)
    if not any(_applies(variant, pair) for variant in variants for pair in found.pairs):
        raise InvalidPair("No pair has masks; ask for other regions than masks.")
    console = Console(stderr=True)
    for name in found.skipped:
        console.print(f"Skipped {name}: it has no style photo.", markup=False)
    stylizer = Stylizer(NetworkEngine(*_networks(weights, original_share)))
    if segmenter is not None:
        stylizer = Stylizer(stylizer.engine, *load_segmenter(segmenter))
    output.mkdir(parents=True, exist_ok=True)
    # Names only: a report is for reading elsewhere.
    settings = {
        "folder": folder.resolve().name,
        "size": size,
        "weights": Path(weights).name,
        "original share": original_share,
        "segmenter": None if segmenter is None else Path(segmenter).name,
        "skipped": " ".join(found.skipped) or None,
    }
    outcomes: list[Outcome] = []
    rows: list[Row] = []
    with _progress(console) as progress:
        task = progress.add_task("", total=len(found.pairs) * len(variants))
        for pair in found.pairs:
            runs: list[tuple[Measures, Run] | None] = []
            for variant in variants:
                progress.update(task, description=f"{pair.name} {variant}")
                if not _applies(variant, pair):
                    runs.append(None)
                else:
                    one = measure(stylizer, pair, variant, size, reconstruct=reconstruction)
                    runs.append(one)
                    outcomes.append(Outcome(pair.name, variant, one[0]))
                progress.advance(task)
            if not any(runs):
                continue
            rows.append(_sheet_row(pair.name, runs))
            # After every pair: a run takes minutes, and half of it is worth reading.
            sheet = contact_sheet(["content", "style", *map(str, variants)], rows)
            write_report(output, settings, outcomes, sheet)
    console.print(f"Wrote {output / 'quality.md'}, quality.json and sheet.png.", markup=False)


def _applies(variant: Variant, pair: PhotoPair) -> bool:
    return pair.has_masks or variant.regions != "masks"


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


main = make_main(quality, __file__)


if __name__ == "__main__":
    sys.exit(main())
