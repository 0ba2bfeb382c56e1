"""`photoreal train-segmenter`."""

from __future__ import annotations

from pathlib import Path

import click


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
    help="JSON file of settings; without it the ones of the shipped weights.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--bf16", is_flag=True, help="bfloat16 convolutions: GPUs, and CPUs with instructions for it."
)
@click.option("--every", default=500, show_default=True, help="Steps between saved states.")
@click.option("--workers", default=1, show_default=True, help="Processes that prepare crops.")
def train_segmenter(
    data: Path,
    output: Path,
    settings_file: Path | None,
    resume: bool,
    device: str,
    bf16: bool,
    every: int,
    workers: int,
) -> None:
    """Train the segmenter from scratch on the labeled photos in DATA.

    DATA holds the folders camvid, labelmefacade and ade_sky, or some of them. The folder that
    it writes can be given to `photoreal export --segmenter`.
    """
    from photoreal.train.console import run_training
    from photoreal.train.settings import Settings

    chosen = settings_file or (output / "settings.json" if resume else None)
    settings = Settings.read(chosen) if chosen else Settings()
    run_training(
        data,
        output,
        settings,
        resume=resume,
        device=device,
        bf16=bf16,
        every=every,
        workers=workers,
    )
