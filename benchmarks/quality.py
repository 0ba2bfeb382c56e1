"""Measure style transfers over a folder of photo pairs: numbers and a contact sheet.

``.venv/bin/python benchmarks/quality.py FOLDER -o OUT`` stylizes every pair in this process, with
the code that the server runs, once for each of `judging.variants.VARIANTS`, does the same with
other methods (`judging.peers`), and writes ``quality.json``, ``quality.md`` and ``sheet.png`` to
OUT.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from entry import HELP, Teller, make_main, output_option
from judging import peers
from judging.contact_sheet import Cell, Row, contact_sheet
from judging.judge import Judge, Measures
from judging.pairs import read_pairs
from judging.report import Outcome, as_json, as_markdown
from judging.variants import VARIANTS, Stylizer
from PIL import Image

from photoreal.preprocess import Limits
from photoreal.transfer.progressive import NetworkEngine
from photoreal.weights.networks import BUILTIN, load_wct2
from photoreal.weights.segmenters import load_segmenter

_LIMITS = Limits()
_THUMBNAIL = (480, 360)


def make_methods(
    stylizer: Stylizer, given: Sequence[str], color_matcher: str | None
) -> dict[str, peers.Method]:
    """The rows of the table, in order, each with the function that makes its results.

    `given` are other methods' results as NAME=PATTERN, `color_matcher` is the path of that program.
    Raises InvalidOption for a NAME=PATTERN of another form.
    """
    methods: dict[str, peers.Method] = {"content itself": peers.copy}
    methods |= dict(peers.folder_peer(one) for one in given)
    methods["linear Monge-Kantorovich map, whole photo"] = peers.monge_kantorovich
    if color_matcher is not None:
        methods["color-matcher, whole photo"] = peers.color_matcher(color_matcher)
    for variant in VARIANTS:
        methods[variant.name] = partial(stylizer.stylize, variant=variant)
    return methods


def write_report(
    out: Path, settings: dict[str, Any], outcomes: Sequence[Outcome], sheet: Image.Image
) -> None:
    """Write ``quality.json``, ``quality.md`` and ``sheet.png`` into a folder that exists."""
    found = json.dumps(as_json(settings, outcomes), indent=1, allow_nan=False)
    (out / "quality.json").write_text(f"{found}\n", encoding="utf-8")
    (out / "quality.md").write_text(as_markdown(settings, outcomes), encoding="utf-8")
    sheet.save(out / "sheet.png")


@click.command(context_settings=HELP)
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@output_option("quality.json, quality.md and sheet.png", required=True)
@click.option(
    "--peer",
    "given",
    multiple=True,
    metavar="NAME=PATTERN",
    help="Results of another method: a path with {pair} for the pair's name. May be repeated.",
)
@click.option("--weights", default=BUILTIN, show_default=True, metavar="NAME_OR_FOLDER")
@click.option("--segmenter", default="default", show_default=True, metavar="NAME_OR_FOLDER")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N pairs only.")
def quality(
    folder: Path,
    output: Path,
    given: tuple[str, ...],
    weights: str,
    segmenter: str,
    limit: int | None,
) -> None:
    """Measure style transfers over the photo pairs in FOLDER, or in a pairs.json.

    FOLDER holds a subfolder a pair with content, style and, if wanted, content_mask and
    style_mask, or a pairs.json. Exit codes: 0 done; 1 weights or disk failed; 2 the call has to
    be changed.
    """
    tell = Teller()
    color_matcher = peers.find_color_matcher()
    if color_matcher is None:
        tell('Without color-matcher, which is not installed (pip install "photoreal[peers]").')
    stylizer = Stylizer(NetworkEngine(*load_wct2(weights)), *load_segmenter(segmenter))
    methods = make_methods(stylizer, given, color_matcher)
    found = read_pairs(folder, _LIMITS, limit)
    for name in found.skipped:
        tell(f"Skipped {name}: it has no style photo.")
    output.mkdir(parents=True, exist_ok=True)
    # File names only, since the report is read on other machines.
    settings = {
        "folder": folder.resolve().name,
        "weights": Path(weights).name,
        "segmenter": Path(segmenter).name,
        "skipped": " ".join(found.skipped) or None,
    }
    outcomes: list[Outcome] = []
    rows: list[Row] = []
    for pair in found.pairs:
        judge = Judge(pair)
        cells = [Cell(Image.fromarray(judge.style))]
        for what, method in methods.items():
            result = method(pair)
            if result is None:
                cells.append(Cell(None, "none"))
                continue
            measures = judge.measure(result)
            outcomes.append(Outcome(pair.name, what, measures))
            result.thumbnail(_THUMBNAIL)
            cells.append(Cell(result, _caption(measures)))
        rows.append(Row(pair.name, cells))
        # Written after every pair: a run takes minutes, and partial results are useful.
        sheet = contact_sheet(["style", *methods], rows, *_THUMBNAIL)
        write_report(output, settings, outcomes, sheet)
        tell(f"Measured {pair.name}.")
    tell(f"Wrote {output / 'quality.md'}, quality.json and sheet.png.")


def _caption(measures: Measures) -> str:
    return (
        f"kept {measures.structure:.2f}  style {measures.style:.1f}"
        f"  residual {measures.residual:.1f}  p99 {measures.p99:.0f}"
    )


main = make_main(quality, __file__)


if __name__ == "__main__":
    sys.exit(main())
