"""`photoreal web`."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import click
import uvicorn

from photoreal.client.address import parse_address
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.web.app import make_app
from photoreal.client.web.settings import GatewaySettings
from photoreal.interrupt import interrupt_on_signals


@click.command()
@server_options(waits_for="one picture", embedding="without url")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--max-upload",
    type=click.IntRange(min=1),
    default=GatewaySettings.max_file_bytes >> 20,
    show_default=True,
    metavar="MIB",
    help="Maximum size of an uploaded file.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(min=1),
    default=GatewaySettings.max_requests,
    show_default=True,
    help="Maximum number of concurrent requests; one is processed at a time.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Additional host name of the gateway; may be repeated.",
)
def web(
    server: ServerOptions,
    host: str,
    port: int,
    max_upload: int,
    max_requests: int,
    allowed_hosts: tuple[str, ...],
) -> None:
    """Serve a web page and an HTTP endpoint for pictures until Ctrl-C.

    It is a client of the Triton server at --url. Without --url it uses the one at Triton's own
    port on this machine or, if none is ready there, one that it starts. It shows that server its
    API key (PHOTOREAL_API_KEY in the environment) and asks its own callers for none.

    It is reachable from this machine only unless --host says otherwise.
    """
    settings = GatewaySettings(max_upload << 20, max_requests, (host, *allowed_hosts))
    try:
        with ExitStack() as stack:
            listener = stack.enter_context(_listen(host, port))
            interrupt_on_signals()
            reached = stack.enter_context(server.reach(_say))
            if server.embedded and reached is server:
                used = parse_address(server.url, server.protocol)
                click.echo(f"Using the server at {used}.", err=True)
            client = reached.connect_async()
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            click.echo(f"Ready.\n  page  {address}/\n  API   {address}/docs")
            click.echo("Ctrl-C stops it.")
            config = uvicorn.Config(
                make_app(client, settings), log_level="warning", timeout_graceful_shutdown=20
            )
            uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


def _say(words: str) -> None:
    click.echo(f"{words} ...", err=True)


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port first, since starting a server takes seconds."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise click.ClickException(
            f"The port {port} on {host} cannot be used ({error.strerror}); stop the program that"
            " uses it, or choose another port with --port."
        ) from None
    return listener
