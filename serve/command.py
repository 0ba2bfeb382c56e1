"""`photoreal serve`."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import click

from photoreal.contract import ENGINES


@click.command()
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("model_repository"),
    show_default=True,
    help="Model repository, as `photoreal export` fills it.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Run WCT2's networks in one process (local) or as models of the server (bls)."
    " Default: as the repository's config says.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--http-port", default=8000, show_default=True, type=int)
@click.option("--grpc-port", default=8001, show_default=True, type=int)
@click.option("--metrics-port", default=8002, show_default=True, type=int)
@click.option("--verbose", is_flag=True, help="Show all of the server's log.")
def serve(
    repository: Path,
    engine: str | None,
    host: str,
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    verbose: bool,
) -> None:
    """Run a Triton server with the style transfer models until Ctrl-C.

    It is reachable from this machine only unless --host says otherwise.
    """
    from photoreal.errors import ServeError
    from photoreal.serve.launcher import Server, ServeSettings

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    settings = ServeSettings(repository, engine, host, http_port, grpc_port, metrics_port, verbose)
    server = Server(settings)
    try:
        click.echo("Starting Triton ...", err=True)
        with server:
            click.echo(f"Ready.\n  HTTP     {server.http_url}\n  gRPC     {server.grpc_url}")
            click.echo(f"  metrics  {server.metrics_url}\nCtrl-C stops the server.")
            code = server.wait()
            raise ServeError(f"The server stopped by itself (exit code {code}).")
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Let SIGTERM end the server as Ctrl-C does; further signals must not disturb that."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt
