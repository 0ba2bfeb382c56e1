"""`photoreal health`."""

from __future__ import annotations

import http.client
import json

import click

from photoreal.client.address import DEFAULT_HOST, parse_address
from photoreal.client.canary import send_canary
from photoreal.client.cli.server_options import ServerOptions, server_options
from photoreal.client.errors import ServerUnavailable
from photoreal.contract import HEALTH_PORT

DEFAULT_SUPERVISOR = f"{DEFAULT_HOST}:{HEALTH_PORT}"


@click.command()
@server_options(
    waits_for="the answer; on a busy server it queues like any other",
    timeout=30.0,
    retries=0,
    embedding="never",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Ask the supervisor of `photoreal serve` instead of sending a request; it tests the server"
    " all the time and can tell a busy one from one that hangs.",
)
@click.option(
    "--supervisor",
    metavar="HOST:PORT",
    default=DEFAULT_SUPERVISOR,
    show_default=True,
    help="Address of the supervisor, with the --health-port of `photoreal serve`.",
)
def health(server: ServerOptions, quick: bool, supervisor: str) -> None:
    """Check whether a server answers real requests.

    A tiny photo passes through every stage. Exit codes: 0 the server works, 1 it does not.
    """
    if quick:
        click.echo(ask_supervisor(supervisor, server.timeout))
        return
    with server.connect() as client:
        seconds = send_canary(client)
    click.echo(f"Ready: a test request took {seconds:.2f} s.")


def ask_supervisor(url: str, timeout: float) -> str:
    """Query the supervisor's /ready; return the line to print.

    Raises:
        InvalidInput: the address is invalid.
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
        raise ServerUnavailable(f"No response from a supervisor at {address} ({reason}).") from None
    except (ValueError, KeyError, TypeError):
        raise ServerUnavailable(f"The server at {address} is not a supervisor.") from None
    finally:
        connection.close()
    if not ready:
        raise ServerUnavailable(str(problem))
    return "Ready, according to the supervisor."
