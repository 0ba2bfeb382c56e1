"""`photoreal train-segmenter` and `photoreal evaluate-segmenter`."""

from __future__ import annotations

from pathlib import Path

import click

from photoreal.train.lights import LIGHTS


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the run: settings, list of photos, log, checkpoint and weights.",
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON file of settings; without it those for a training from scratch.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--bf16", is_flag=True, help="bfloat16 convolutions: GPUs, and CPUs with instructions for it."
)
@click.option(
    "--from",
    "origin",
    help="Begin with a segmenter's weights: default, or the folder of a training.",
)
@click.option("--every", default=100, show_default=True, help="Steps between saved states.")
@click.option("--measure-every", default=500, show_default=True, help="Steps between measurements.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Go through the settings in this time, in as many steps as it is enough for.",
)
def train_segmenter(
    data: Path,
    output: Path,
    settings_file: Path | None,
    resume: bool,
    device: str,
    bf16: bool,
    origin: str | None,
    every: int,
    measure_every: int,
    seconds: float | None,
) -> None:
    """Train the segmenter on the labeled photos in DATA, from scratch or from other weights.

    DATA holds some of the folders camvid, labelmefacade, ade_sky, stanford_background, msrc21,
    river, human_seg, ccp, horizon_uav, sky_small and coco_stuff21. The folder that it writes can be
    given to `photoreal export --segmenter`.
    """
    from photoreal.train.console import run_training
    from photoreal.train.settings import Settings

    if resume and origin is not None:
        raise click.UsageError("--resume goes on from the run's own weights; leave --from out.")
    if resume and seconds is not None:
        raise click.UsageError("--resume goes on with the run's own steps; leave --seconds out.")
    chosen = settings_file or (output / "settings.json" if resume else None)
    settings = Settings.read(chosen) if chosen else Settings()
    run_training(
        data,
        output,
        settings,
        resume=resume,
        device=device,
        bf16=bf16,
        origin=origin,
        every=every,
        measure_every=measure_every,
        seconds=seconds,
    )


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
