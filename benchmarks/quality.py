"""Measure style transfers over a folder of photo pairs: numbers and pictures.

``.venv/bin/python benchmarks/quality.py FOLDER -o OUT`` stylizes every pair in this process, with
the code that the server runs, once for each of `judging.methods.VARIANTS`, does the same with
the results of other methods, and writes ``quality.json``, ``quality.md`` and the pictures to
OUT.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from entry import HELP, make_main, output_option, tell
from judging import peers
from judging.judge import Judge
from judging.methods import VARIANTS, Method, copy, folder_peer
from judging.pairs import read_pairs
from judging.report import Outcome, summarize
from pictures import LIMITS
from tables import Report

from photoreal import Pipeline
from photoreal.weights.networks import BUILTIN


@click.command(context_settings=HELP)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@output_option("quality.json, quality.md and a folder of pictures for each pair")
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
    """Measure style transfers over the photo pairs in FOLDER.

    FOLDER holds a subfolder a pair with content, style and, if wanted, content_mask and
    style_mask. Exit codes: 0 done; 1 weights or disk failed; 2 the call has to be changed.
    """
    pipeline = Pipeline(device="cpu", weights=weights, segmenter=segmenter, limits=LIMITS)
    methods: dict[str, Method] = {"content itself": copy}
    methods |= dict(folder_peer(one) for one in given)
    methods["linear Monge-Kantorovich map, whole photo"] = peers.monge_kantorovich
    if (matcher := peers.color_matcher()) is None:
        tell('Without color-matcher, which is not installed (pip install "photoreal[peers]").')
    else:
        methods["color-matcher, whole photo"] = matcher
    methods |= {one.name: one.method(pipeline) for one in VARIANTS}
    pairs, skipped = read_pairs(folder, limit)
    for name in skipped:
        tell(f"Skipped {name}: it has no style photo.")
    # File names only, since the report is read on other machines.
    settings = {
        "folder": folder.resolve().name,
        "weights": Path(weights).name,
        "segmenter": Path(segmenter).name,
        "skipped": " ".join(skipped) or None,
    }
    report = Report(output, "quality", "Quality of style transfers", settings)
    outcomes: list[Outcome] = []
    for pair in pairs:
        judge = Judge(pair)
        pictures = output / pair.name
        pictures.mkdir(parents=True, exist_ok=True)
        for what, method in methods.items():
            result = method(pair)
            if result is not None:
                outcomes.append(Outcome(pair.name, what, judge.measure(result)))
                name = re.sub("[^a-z0-9]+", "-", what.lower())
                result.convert("RGB").save(pictures / f"{name}.jpg")
        tell(f"Measured {pair.name}.")
        report.add(*summarize(outcomes))  # after every pair: a run takes minutes
    tell(f"Wrote {output / 'quality.md'}, quality.json and the pictures.")


main = make_main(quality, __file__)


if __name__ == "__main__":
    sys.exit(main())
