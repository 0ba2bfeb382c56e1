"""`photoreal web`."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import click
import uvicorn

from photoreal.client.address import PROTOCOLS, Protocol, parse_address
from photoreal.client.async_client import AsyncStyleTransferClient
from photoreal.client.call import DEFAULT_TIMEOUT
from photoreal.client.client import StyleTransferClient
from photoreal.client.embedded import own_server
from photoreal.client.web.app import make_app
from photoreal.client.web.settings import GatewaySettings
from photoreal.interrupt import interrupt_on_signals


@click.command()
@click.option(
    "--url",
    metavar="HOST:PORT",
    help="Triton server that makes the pictures. Unless given, the one at Triton's own port on"
    " this machine or, if none is ready there, one that is started.",
)
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="http", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option("--embedded", is_flag=True, help="Start a server if none is ready at --url as well.")
@click.option(
    "--repository",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Model repository of the embedded server.",
)
@click.option(
    "--timeout",
    type=float,
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long one picture may take.",
)
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=GatewaySettings.max_file_bytes >> 20,
    show_default=True,
    metavar="MIB",
    help="How large an uploaded file may be.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    default=GatewaySettings.max_requests,
    show_default=True,
    help="How many requests may be there at once; one is computed at a time.",
)
def web(
    url: str | None,
    protocol: Protocol,
    host: str,
    port: int,
    embedded: bool,
    repository: Path | None,
    timeout: float,
    max_upload: int,
    max_requests: int,
) -> None:
    """Serve a web page and an HTTP endpoint for pictures until Ctrl-C.

    It is reachable from this machine only unless --host says otherwise.
    """
    settings = GatewaySettings(max_upload << 20, max_requests)
    try:
        with ExitStack() as stack:
            listener = stack.enter_context(_listen(host, port))
            # Whatever is wrong with the options shows before a server is started.
            AsyncStyleTransferClient(url, protocol=protocol, timeout=timeout)
            interrupt_on_signals()
            if url is None or embedded:
                url = _server(stack, url, protocol, repository)
            client = AsyncStyleTransferClient(url, protocol=protocol, timeout=timeout)
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            click.echo(f"Ready.\n  page  {address}/\n  API   {address}/docs")
            click.echo("Ctrl-C stops it.")
            config = uvicorn.Config(
                make_app(client, settings), log_level="warning", timeout_graceful_shutdown=20
            )
            uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


def _listen(host: str, port: int) -> socket.socket:
    """Take the port first: a server takes seconds to start."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise click.ClickException(
            f"The port {port} on {host} cannot be used ({error.strerror}); stop what uses it or"
            " choose another with --port."
        ) from None
    return listener


def _server(
    stack: ExitStack, url: str | None, protocol: Protocol, repository: Path | None
) -> str | None:
    """The address as given if a server is ready there, or that of one that is started."""
    with StyleTransferClient(url, protocol=protocol) as client:
        if client.ready():
            click.echo(f"Using the server at {parse_address(url, protocol)}.", err=True)
            return url
    click.echo("Starting Triton ...", err=True)
    return stack.enter_context(own_server(repository, protocol))
