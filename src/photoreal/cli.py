"""The command ``photoreal``: finds and runs a subcommand.

A subcommand's module is imported only when it is run, so that users of the client need neither
torch nor a server.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from photoreal import __version__
from photoreal.errors import InvalidRequest, PhotorealError

FAILED = 1
CALLER_ERROR = 2
INTERRUPTED = 130
TRAINING = "photoreal.train"
"""The package that is not included in wheels."""


@dataclass(frozen=True)
class Subcommand:
    """Module of a subcommand, its short help, and the extra that installs its dependencies."""

    module: str
    attribute: str
    short_help: str
    extra: str | None = None


SUBCOMMANDS = {
    "export": Subcommand(
        "photoreal.export.command",
        "export",
        "Write the networks as ONNX or TensorRT models into the model repository.",
        extra="export",
    ),
    "serve": Subcommand(
        "photoreal.serve.cli.command",
        "serve",
        "Start a Triton server with the model repository.",
        extra="serve",
    ),
    "stylize": Subcommand(
        "photoreal.client.cli.stylize",
        "stylize",
        "Give a photo the colors, light and mood of another one.",
    ),
    "look": Subcommand(
        "photoreal.client.cli.look",
        "look",
        "Write the look of a photo as a table of colors for other programs.",
        extra="local",
    ),
    "batch": Subcommand(
        "photoreal.client.batch.command",
        "batch",
        "Give many photos the look of one, on every core and GPU of a Ray cluster.",
        extra="batch",
    ),
    "preset": Subcommand(
        "photoreal.client.cli.warm",
        "preset",
        "Measure a style photo, and write a file that takes its place.",
    ),
    "perf-data": Subcommand(
        "photoreal.client.perf_data.command",
        "command",
        "Write requests as input data for Triton's perf_analyzer.",
    ),
    "video": Subcommand(
        "photoreal.client.video.command",
        "video",
        "Give a video the colors, light and mood of a photo.",
        extra="video",
    ),
    "evaluate-segmenter": Subcommand(
        "photoreal.train.command",
        "evaluate_segmenter",
        "Measure a segmenter on labeled photos.",
        extra="train",
    ),
    "health": Subcommand(
        "photoreal.client.cli.health",
        "health",
        "Check whether a server answers real requests.",
    ),
    "warm": Subcommand(
        "photoreal.client.cli.warm",
        "warm",
        "Fill a server's style cache, so that the first use of styles is fast.",
    ),
    "upload": Subcommand(
        "photoreal.client.cli.upload",
        "upload",
        "Send two photos to a gateway and save the result.",
    ),
    "web": Subcommand(
        "photoreal.client.web.command",
        "web",
        "Serve a web page and an HTTP endpoint in front of a Triton server.",
        extra="web",
    ),
    "train-segmenter": Subcommand(
        "photoreal.train.command",
        "train_segmenter",
        "Train the segmenter on labeled photos.",
        extra="train",
    ),
}


class LazyGroup(click.Group):
    """A click group that imports subcommands lazily and lists them without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the subcommands."""
        return sorted(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand.

        Raises:
            click.ClickException: its dependencies are not installed.
        """
        if cmd_name not in SUBCOMMANDS:
            return None
        subcommand = SUBCOMMANDS[cmd_name]
        try:
            command: click.Command = getattr(import_module(subcommand.module), subcommand.attribute)
        except ImportError as error:
            raise _not_installed(cmd_name, error) from None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands in the help."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, SUBCOMMANDS[name].short_help) for name in sorted(SUBCOMMANDS)]
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a missing dependency may be detected only at this point."""
        try:
            return super().invoke(ctx)
        except ImportError as error:
            raise _not_installed(ctx.invoked_subcommand or "", error) from None


def _not_installed(name: str, error: ImportError) -> click.ClickException:
    if (error.name or "").startswith(TRAINING):
        return click.ClickException(
            f"`photoreal {name}` needs the training code, which only a checkout of the source has:"
            ' pip install -e ".[train]" there.'
        )
    extra = SUBCOMMANDS[name].extra if name in SUBCOMMANDS else None
    package = f"photoreal[{extra}]" if extra else "photoreal"
    return click.ClickException(
        f'`photoreal {name}` needs missing packages ({error}): pip install "{package}".'
    )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="photoreal")
def photoreal() -> None:
    """Photorealistic style transfer, served by NVIDIA Triton."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    The exit code is 0 for success, 1 for a failure, 2 for a usage error, 130 when interrupted.

    Args:
        argv: the arguments after the program's name; ``sys.argv[1:]`` by default.
    """
    return run_command(photoreal, "photoreal", argv)


def run_command(command: click.Command, name: str, argv: Sequence[str] | None) -> int:
    """Run a command under a name and return its exit code, as `main` does."""
    arguments = None if argv is None else list(argv)
    try:
        with warnings.catch_warnings():
            # Warnings about malformed metadata in a photo are of no use to the user.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            outcome = command.main(arguments, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except PhotorealError as error:
        click.echo(f"Error: {error}", err=True)
        return CALLER_ERROR if isinstance(error, InvalidRequest) else FAILED
    except SystemExit as stop:  # click exits this way when the output pipe is closed
        return stop.code if isinstance(stop.code, int) else FAILED
    return outcome if isinstance(outcome, int) else 0


if __name__ == "__main__":
    sys.exit(main())
