"""A server that the command starts when none is running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from photoreal.client.address import Protocol


@contextmanager
def own_server(repository: Path | None, protocol: Protocol) -> Iterator[str]:
    """Run a server on free ports for the duration of the context; yield its address.

    Args:
        repository: the model repository; `model_repository` by default.
        protocol: the protocol of the address.

    Raises:
        click.ClickException: the packages of the server are not installed.
        ServeError: the server cannot start.
    """
    with ExitStack() as stack:
        try:
            from photoreal.serve.launch.embedded import embedded_server

            server = stack.enter_context(embedded_server(repository))
        except ImportError as error:
            raise click.ClickException(
                f'An embedded server needs more packages ({error}): pip install "photoreal[serve]".'
            ) from None
        yield server.grpc_url if protocol == "grpc" else server.http_url
