"""The `photoreal export` command."""

from __future__ import annotations

from pathlib import Path

import click

from photoreal.contract import DEVICES, PADDING_MULTIPLE, UNPOOLS, Unpool
from photoreal.export.acceleration import ACCELERATORS, ENGINE_CACHE
from photoreal.export.tensorrt import DEFAULT_MAX_SIDE


@click.command()
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("model_repository"),
    show_default=True,
    help="Output folder; it is created if it does not exist.",
)
@click.option(
    "--weights",
    default="builtin",
    show_default=True,
    help="builtin (computed), wct2 (published, downloaded once) or a folder of published files.",
)
@click.option("--unpool", type=click.Choice(UNPOOLS), default=UNPOOLS[0], show_default=True)
@click.option(
    "--segmenter",
    default="default",
    show_default=True,
    help="default (included, for research and non-commercial use), ade20k (published, downloaded"
    " once), the folder of a training or of files with the published names, or none: photos"
    " without masks are then one region each.",
)
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True)
@click.option("--tensorrt", is_flag=True, help="Build TensorRT engines (needs a GPU).")
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default=DEVICES[0],
    show_default=True,
    help="Device that the server will run the models on; the export does not use it.",
)
@click.option(
    "--accelerator",
    type=click.Choice(ACCELERATORS),
    default=ACCELERATORS[0],
    show_default=True,
    help="Execution provider of ONNX Runtime on a GPU; tensorrt builds engines at server startup.",
)
@click.option(
    "--engine-cache",
    metavar="FOLDER",
    default=ENGINE_CACHE,
    show_default=True,
    help="Folder where the server caches those engines.",
)
@click.option(
    "--max-side",
    type=click.IntRange(256, 8192),
    metavar="PIXELS",
    default=DEFAULT_MAX_SIDE,
    show_default=True,
    help="Longest side that TensorRT engines support, a multiple of 8; memory grows with its"
    " square.",
)
@click.option(
    "--stock",
    type=click.Path(path_type=Path, file_okay=False),
    help="Output folder for a stock tritonserver --model-repository=FOLDER, instead.",
)
@click.option(
    "--environment",
    metavar="FOLDER",
    help="With --stock: virtual environment of the Python models on the server's machine, for their"
    " EXECUTION_ENV_PATH. By default they use the packages found through the server's PATH.",
)
def export(
    repository: Path,
    weights: str,
    unpool: Unpool,
    segmenter: str,
    precision: str,
    tensorrt: bool,
    device: str,
    accelerator: str,
    engine_cache: str,
    max_side: int,
    stock: Path | None,
    environment: str | None,
) -> None:
    """Write the networks as ONNX models into a Triton model repository.

    Each model is compared with its PyTorch network in ONNX Runtime, at two sizes, before the
    repository is touched.
    """
    from photoreal.export import ExportSettings, export_repository

    if max_side % PADDING_MULTIPLE:
        raise click.BadParameter(
            f"{max_side} is not a multiple of {PADDING_MULTIPLE}.", param_hint="--max-side"
        )
    if environment is not None and stock is None:
        raise click.UsageError("--environment requires --stock.")
    settings = ExportSettings(
        stock or repository,
        weights,
        unpool,
        None if segmenter == "none" else segmenter,
        precision,
        tensorrt,
        device,
        accelerator,
        engine_cache,
        max_side,
        stock is not None,
        environment,
    )
    export_repository(settings, click.echo)
    start = f"photoreal serve --repository {repository}"
    if stock is not None:
        start = f"tritonserver --model-repository={stock.resolve()}"
    click.echo(f"The repository in {settings.repository} is ready: {start}")
