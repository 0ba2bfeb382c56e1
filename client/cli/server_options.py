"""Command-line options that select the server, and the clients that they open."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import click

from photoreal.client._transport.call import DEFAULT_TIMEOUT
from photoreal.client._transport.retry import DEFAULT_RETRIES
from photoreal.client.address import DEFAULT_HOST, DEFAULT_PORTS, PROTOCOLS, Protocol
from photoreal.client.async_client import AsyncStyleTransferClient
from photoreal.client.cli.credential_options import credential_options
from photoreal.client.cli.own_server import own_server
from photoreal.client.cli.terminal import Say
from photoreal.client.cli.this_process import client_of_this_process, is_installed
from photoreal.client.client import StyleTransferClient
from photoreal.client.patience import DEFAULT_PATIENCE_S

Embedding = Literal["never", "on request", "without url"]
"""When a command starts its own server: with --embedded, or also without --url."""

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_URLS = {protocol: f"{DEFAULT_HOST}:{port}" for protocol, port in DEFAULT_PORTS.items()}
_EMBEDDED_HELP: dict[Embedding, str] = {
    "on request": "If no server is ready at the address, start one for this call.",
    "without url": "Start a server if none is ready at --url; the default without --url.",
}


@dataclass(frozen=True)
class ServerOptions:
    """The server that a command uses, and the settings of its client.

    Attributes:
        url: the server's address; None is the protocol's default port on this machine.
        protocol: "http" or "grpc".
        timeout: timeout of a call in seconds.
        retries: retries after the first attempt while the server is unavailable.
        embedded: whether to start a server if none is ready at the address.
        repository: model repository of that server.
        patience: seconds that each request of a long job waits for a server that is restarting
            or busy.
        credentials: client arguments that authenticate with the server at `url`.
        make: opens a synchronous client; tests replace it with one that needs no network.
    """

    url: str | None
    protocol: Protocol
    timeout: float
    retries: int
    embedded: bool = False
    repository: Path | None = None
    patience: float = 0.0
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)
    make: Callable[..., StyleTransferClient] = StyleTransferClient

    def connect(self) -> StyleTransferClient:
        """Open a client of the server at the address.

        Raises:
            InvalidInput: the options are invalid, or conflict with each other.
        """
        return self.make(self.url, **self._arguments())

    def connect_async(self) -> AsyncStyleTransferClient:
        """Asynchronous version of :meth:`connect`."""
        return AsyncStyleTransferClient(self.url, **self._arguments())

    @contextmanager
    def reach(self, say: Say) -> Iterator[ServerOptions]:
        """Yield these options or, with `embedded` and no server ready, those of a new server.

        The new server runs for the duration of the context.

        Args:
            say: called with what is being waited for.

        Raises:
            InvalidInput: as from :meth:`connect`.
            click.ClickException: the packages of the server are not installed.
            ServeError: the server cannot start.
        """
        if not self.embedded or self._is_ready():
            yield self
            return
        say("Starting Triton")
        with own_server(self.repository, self.protocol) as url:
            # The new server requires no API key and has no TLS, so no credentials apply.
            yield replace(self, url=url, credentials={})

    @contextmanager
    def client(
        self, say: Say, note: Say = lambda words: None, *, here: bool = False
    ) -> Iterator[StyleTransferClient]:
        """Open a client of the server from :meth:`reach`, or one that works in this process.

        Args:
            say: called with what is being waited for.
            note: called with which of the two is used, if the command line does not say.
            here: whether to work in this process when no server was named, none is ready at the
                default address, and the packages for it are installed.

        Raises:
            PhotorealError: as from :meth:`reach`, or the models cannot be loaded here.
        """
        if here and self.url is None and not self.embedded:
            address = _URLS[self.protocol]
            if self._is_ready():
                note(f"Using the server at {address}.")
            elif is_installed():
                note(f"No server is ready at {address}; running in this process.")
                say("Loading the models")
                with client_of_this_process(self.timeout) as client:
                    yield client
                return
        with ExitStack() as stack:
            server = stack.enter_context(self.reach(say))
            yield stack.enter_context(server.connect())

    def _is_ready(self) -> bool:
        with self.connect() as client:
            return client.ready()

    def _arguments(self) -> dict[str, Any]:
        return {
            "protocol": self.protocol,
            "timeout": self.timeout,
            "retries": self.retries,
            **self.credentials,
        }


def server_options(
    *,
    waits_for: str,
    timeout: float = DEFAULT_TIMEOUT,
    retries: int = DEFAULT_RETRIES,
    embedding: Embedding = "on request",
    sits_out: str | None = None,
) -> _Decorator:
    """Add the options; pass their values to the command as one argument, ``server``.

    Args:
        waits_for: what --timeout applies to, for the help.
        timeout: default timeout in seconds.
        retries: default number of retries.
        embedding: when the command starts its own server; "never" leaves out --embedded and
            --repository.
        sits_out: beginning of the help of --patience; None leaves out the option.
    """
    options: list[_Decorator] = [
        click.option(
            "--url",
            metavar="HOST:PORT",
            help=f"Address of the server.  [default: {_URLS['http']}, {_URLS['grpc']} for grpc]",
        ),
        click.option(
            "--protocol",
            type=click.Choice(PROTOCOLS),
            default="http",
            show_default=True,
            help="Protocol of the connection.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=timeout,
            show_default=True,
            metavar="SECONDS",
            help=f"How long to wait for {waits_for}.",
        ),
        click.option(
            "--retries",
            type=click.IntRange(min=0),
            default=retries,
            show_default=True,
            metavar="TIMES",
            help="Maximum number of retries while the server is unavailable.",
        ),
        credential_options,
    ]
    if sits_out is not None:
        options.append(
            click.option(
                "--patience",
                type=click.FloatRange(min=0),
                default=DEFAULT_PATIENCE_S,
                show_default=True,
                metavar="SECONDS",
                help=f"{sits_out}How long to wait for a server that restarts or is busy.",
            )
        )
    if embedding != "never":
        options += [
            click.option("--embedded", is_flag=True, help=_EMBEDDED_HELP[embedding]),
            click.option(
                "--repository",
                type=click.Path(path_type=Path),
                metavar="FOLDER",
                help="Model repository of the embedded server.",
            ),
        ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_server(
            *arguments: Any,
            url: str | None,
            protocol: Protocol,
            timeout: float,
            retries: int,
            credentials: Mapping[str, Any],
            embedded: bool = False,
            repository: Path | None = None,
            patience: float = 0.0,
            **others: Any,
        ) -> Any:
            starts = embedded or (embedding == "without url" and url is None)
            if repository is not None and not starts:
                raise click.UsageError("--repository needs --embedded.")
            make = click.get_current_context().obj or StyleTransferClient
            server = ServerOptions(
                url, protocol, timeout, retries, starts, repository, patience, credentials, make
            )
            return command(*arguments, server=server, **others)

        decorated: Callable[..., Any] = with_server
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate
