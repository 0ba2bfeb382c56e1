"""`photoreal health`."""

from __future__ import annotations

import http.client
import json
from typing import Any

import click

from photoreal.client.address import DEFAULT_HOST, PROTOCOLS, Protocol, parse_address
from photoreal.client.canary import send_canary
from photoreal.client.client import StyleTransferClient
from photoreal.client.credential_options import credential_options
from photoreal.client.errors import ServerUnavailable
from photoreal.contract import HEALTH_PORT

DEFAULT_SUPERVISOR = f"{DEFAULT_HOST}:{HEALTH_PORT}"


@click.command()
@click.option("--url", metavar="HOST:PORT", help="Address of the server.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), default="http", show_default=True)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the answer; on a busy server it queues like any other.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Ask the supervisor of `photoreal serve`, which tries the server all the time and"
    " knows a busy one from one that hangs, instead of trying the server now.",
)
@click.option(
    "--supervisor",
    metavar="HOST:PORT",
    default=DEFAULT_SUPERVISOR,
    show_default=True,
    help="Where --quick asks: the --health-port of `photoreal serve`.",
)
@credential_options
def health(
    url: str | None,
    protocol: Protocol,
    timeout: float,
    quick: bool,
    supervisor: str,
    credentials: dict[str, Any],
) -> None:
    """Tell whether a server answers real requests, by one line and the exit code.

    A tiny photo goes through every stage. Exit codes: 0 it works, 1 it does not.
    """
    if quick:
        click.echo(ask_supervisor(supervisor, timeout))
        return
    with StyleTransferClient(
        url, protocol=protocol, timeout=timeout, retries=0, **credentials
    ) as client:
        seconds = send_canary(client)
    click.echo(f"Ready: a tiny photo came back in {seconds:.2f} s.")


def ask_supervisor(url: str, timeout: float) -> str:
    """Ask the supervisor's /ready; the line to print.

    Raises:
        InvalidInput: the address makes no sense.
        ServerUnavailable: the supervisor says that the server is not ready, or does not answer.
    """
    address = parse_address(url, "http")
    make = http.client.HTTPSConnection if address.tls else http.client.HTTPConnection
    host, _, path = address.target.partition("/")
    connection = make(host, timeout=timeout)
    try:
        connection.request("GET", f"/{path}/ready".replace("//", "/"))
        report = json.loads(connection.getresponse().read())
        ready, problem = report["ready"], report["problem"]
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ServerUnavailable(f"No supervisor answers at {address} ({reason}).") from None
    except (ValueError, KeyError, TypeError):
        raise ServerUnavailable(f"What answers at {address} is no supervisor.") from None
    finally:
        connection.close()
    if not ready:
        raise ServerUnavailable(str(problem))
    return "Ready, says the supervisor."
