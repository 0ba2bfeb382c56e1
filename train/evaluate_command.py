"""`photoreal evaluate-segmenter`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--segmenter",
    default="default",
    show_default=True,
    help="default (comes with photoreal) or the folder of a training.",
)
def evaluate_segmenter(data: Path, segmenter: str) -> None:
    """Measure a segmenter on the labeled test photos in DATA, in several kinds of light.

    DATA is laid out as for `photoreal train-segmenter`; the segmenter has its classes.
    """
    from photoreal.train.console import run_evaluation

    run_evaluation(data, segmenter)
