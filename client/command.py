"""The command ``photoreal stylize``: reads the command line, calls the client, reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from photoreal.client.address import DEFAULT_HOST, DEFAULT_PORTS, PROTOCOLS, Protocol
from photoreal.client.client import DEFAULT_TIMEOUT, StyleTransferClient
from photoreal.client.errors import RequestTimeout, ServerFailed, ServerUnavailable
from photoreal.client.inputs import encode_image
from photoreal.client.result import StylizeResult
from photoreal.client.retry import DEFAULT_RETRIES
from photoreal.client.terminal import (
    Say,
    check_output,
    make_folder,
    progress,
    summary,
    write_labels,
)
from photoreal.contract import DEFAULT_ALPHA, DEFAULT_SIZE, DEFAULT_TRANSFER_AT, MATCH_RULES
from photoreal.errors import InvalidRequest, PhotorealError

_PATH = click.Path(path_type=Path)
_URLS = {protocol: f"{DEFAULT_HOST}:{port}" for protocol, port in DEFAULT_PORTS.items()}
_EPILOG = """\b
Examples:
  photoreal stylize street.jpg sunset.jpg -o out.png
  photoreal stylize street.jpg sunset.jpg -o out.jpg --alpha 0.7 --size 768
  photoreal stylize street.jpg sunset.jpg -o out.png --embedded
  photoreal stylize street.jpg sunset.jpg -o out.png --save-labels regions
  photoreal stylize street.jpg sunset.jpg -o out.png --match nearest \\
      --content-mask regions/content_labels.png --style-mask regions/style_labels.png

\b
Exit codes: 0 done; 1 the server, the network or the disk failed;
2 the call has to be changed.
"""


@click.command(epilog=_EPILOG)
@click.argument("content", type=_PATH)
@click.argument("style", type=_PATH)
@click.option(
    "-o",
    "--output",
    type=_PATH,
    required=True,
    metavar="OUT",
    help="Where to write the picture; the suffix says the format (.png, .jpg, .webp, .tif).",
)
@click.option(
    "--url",
    metavar="HOST:PORT",
    help=f"Where the server is.  [default: {_URLS['http']}, {_URLS['grpc']} for grpc]",
)
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="http",
    show_default=True,
    help="How to talk to the server.",
)
@click.option(
    "--alpha",
    type=float,
    help=f"Strength of the transfer, from 0 to 1.  [server's default: {DEFAULT_ALPHA:g}]",
)
@click.option(
    "--size",
    type=int,
    metavar="PIXELS",
    help=f"Shorter side of the picture.  [server's default: {DEFAULT_SIZE}]",
)
@click.option(
    "--content-mask",
    type=_PATH,
    metavar="MASK",
    help="Regions of CONTENT: a PNG of its size, with one gray value or one color a region.",
)
@click.option(
    "--style-mask",
    type=_PATH,
    metavar="MASK",
    help="Regions of STYLE, in the same labels or colors. Masks come in pairs.",
)
@click.option(
    "--no-segment",
    is_flag=True,
    help="Without masks, take the photos whole instead of finding their regions.",
)
@click.option(
    "--match",
    type=click.Choice(MATCH_RULES),
    help="How regions find partners.  [server's default: published for masks, else nearest]",
)
@click.option(
    "--blend",
    type=int,
    metavar="PIXELS",
    help="How far neighboring regions mix at their border."
    "  [server's default: 0 for published, 3 for nearest]",
)
@click.option(
    "--transfer-at",
    metavar="PLACES",
    help=f"Where the features are transformed.  [server's default: {DEFAULT_TRANSFER_AT}]",
)
@click.option(
    "--save-labels",
    type=_PATH,
    metavar="FOLDER",
    help="Write the regions there too, as label maps (usable as masks) and in colors.",
)
@click.option(
    "--timeout",
    type=float,
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the picture.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=DEFAULT_RETRIES,
    show_default=True,
    metavar="TIMES",
    help="How often to try again while the server is not available.",
)
@click.option(
    "--embedded",
    is_flag=True,
    help="If no server is ready at the address, start one for this call.",
)
@click.option(
    "--repository",
    type=_PATH,
    metavar="FOLDER",
    help="Model repository of the embedded server.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def stylize(
    context: click.Context,
    /,
    content: Path,
    style: Path,
    output: Path,
    content_mask: Path | None,
    style_mask: Path | None,
    save_labels: Path | None,
    embedded: bool,
    repository: Path | None,
    quiet: bool,
    no_segment: bool,
    url: str | None,
    protocol: Protocol,
    timeout: float,
    retries: int,
    **options: Any,
) -> None:
    """Give the photo CONTENT the colors, light and mood of the photo STYLE.

    The transfer goes region by region: sky from sky, trees from trees. The server finds the
    regions, unless masks for both photos are given.
    """
    if repository is not None and not embedded:
        raise click.UsageError("--repository needs --embedded.")

    # Tests hand over a function that opens a client without a network.
    open_client: Callable[..., StyleTransferClient] = context.obj or StyleTransferClient

    def connect(address: str | None) -> StyleTransferClient:
        return open_client(address, protocol=protocol, timeout=timeout, retries=retries)

    try:
        # Whatever can be found out at once is, before a server is started or waited for.
        check_output(output)
        if save_labels is not None:
            make_folder(save_labels)
        images = {
            "content": content,
            "style": style,
            "content_mask": content_mask,
            "style_mask": style_mask,
        }
        for name, path in images.items():
            if path is not None:
                options[name] = encode_image(path, name.replace("_", " "))
        if no_segment:
            options["segment"] = False
        with ExitStack() as stack:
            say = stack.enter_context(progress(quiet))
            client = stack.enter_context(_client(connect, url, protocol, embedded, repository, say))
            say("Stylizing")
            result = client.stylize(**options)
        _write(result, output, save_labels)
    except PhotorealError as error:
        raise _failure(error, embedded) from None
    if not quiet:
        click.echo(summary(result, output, save_labels))


@contextmanager
def _client(
    connect: Callable[[str | None], StyleTransferClient],
    url: str | None,
    protocol: Protocol,
    embedded: bool,
    repository: Path | None,
    say: Say,
) -> Iterator[StyleTransferClient]:
    """Open a client of the server at ``url``, or of an embedded one if none is ready there."""
    with ExitStack() as stack:
        client = stack.enter_context(connect(url))
        if embedded and not client.ready():
            say("Starting a server")
            try:
                from photoreal.serve.launcher import embedded_server

                server = stack.enter_context(embedded_server(repository))
            except ImportError as error:
                raise _Failed(
                    f"An embedded server needs more packages ({error}): "
                    'pip install "photoreal[serve]".'
                ) from None
            own_url = server.grpc_url if protocol == "grpc" else server.http_url
            client = stack.enter_context(connect(own_url))
        yield client


def _write(result: StylizeResult, output: Path, labels_folder: Path | None) -> None:
    try:
        result.save(output)
        if labels_folder is not None:
            write_labels(result, labels_folder)
    except OSError as error:
        raise _Failed(f"{str(output)!r} cannot be written: {error.strerror or error}.") from None


def _failure(error: PhotorealError, embedded: bool) -> click.ClickException:
    """Find the sentence to print and the exit code for an error."""
    sentence = str(error)
    if isinstance(error, ServerUnavailable) and not embedded:
        sentence += " Start one with `photoreal serve`, or add --embedded."
    elif isinstance(error, RequestTimeout):
        sentence += " --timeout allows more."
    elif isinstance(error, ServerFailed) and error.request_id:
        sentence = f"{sentence.rstrip('.')}. The server's log has more: request {error.request_id}."
    return _CallerError(sentence) if isinstance(error, InvalidRequest) else _Failed(sentence)


class _Failed(click.ClickException):
    exit_code = 1


class _CallerError(click.ClickException):
    exit_code = 2
