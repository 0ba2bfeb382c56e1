"""Error messages and exit codes of the commands."""

from __future__ import annotations

import click

from photoreal.client.errors import (
    AccessDenied,
    RequestTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnavailable,
)
from photoreal.contract import API_KEY_VARIABLE
from photoreal.errors import InvalidRequest, PhotorealError

_EMBED = ', or add --embedded. To run without a server: pip install "photoreal[local]".'


class Failed(click.ClickException):
    """The server, the network or the disk failed; the same call may succeed later."""

    exit_code = 1


class CallRefused(click.ClickException):
    """The call must be changed."""

    exit_code = 2


def failure(error: PhotorealError, *, embedded: bool | None = None) -> click.ClickException:
    """Convert an error to the exception that prints its message and sets the exit code.

    Args:
        error: the error that the call raised.
        embedded: whether --embedded was given; None for a command without that option.
    """
    sentence = str(error)
    if isinstance(error, ServerUnavailable):
        if not embedded and not isinstance(error, ServerBusy):
            sentence += " Start one with `photoreal serve`"
            sentence += _EMBED if embedded is False else "."
    elif isinstance(error, AccessDenied):
        sentence += f" Set it in the environment variable {API_KEY_VARIABLE}."
    elif isinstance(error, RequestTimeout):
        sentence += " Allow more time with --timeout."
    elif isinstance(error, ServerFailed) and (error.request_id or "") not in sentence:
        sentence = f"{sentence.rstrip('.')}. See request {error.request_id} in the server's log."
    return CallRefused(sentence) if isinstance(error, InvalidRequest) else Failed(sentence)
