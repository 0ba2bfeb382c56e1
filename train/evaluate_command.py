"""`photoreal evaluate-segmenter`."""

from __future__ import annotations

from pathlib import Path

import click

from photoreal.train.lights import LIGHTS


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--segmenter",
    default="default",
    show_default=True,
    help="default (comes with photoreal), the folder of a training, or its segmenter.safetensors.",
)
@click.option(
    "--part",
    type=click.Choice(["test", "val"]),
    default="test",
    show_default=True,
    help="Which photos: those of the tests, or those that trainings are followed and calibrated"
    " with.",
)
@click.option(
    "--light",
    "lights",
    type=click.Choice(list(LIGHTS)),
    multiple=True,
    help="A kind of light to measure in; may be given several times. All of them by default.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def evaluate_segmenter(
    data: Path, segmenter: str, part: str, lights: tuple[str, ...], device: str
) -> None:
    """Measure a segmenter on the labeled photos in DATA: accuracy and calibration.

    Prints the accuracy of every source and class and the calibration error of every source, both
    in the first light, and the accuracy of every source in each kind of light. DATA is laid out as
    for `photoreal train-segmenter`; the segmenter has its classes, or some of them.
    """
    from photoreal.train.console import run_evaluation

    run_evaluation(data, segmenter, part, lights or tuple(LIGHTS), device)
