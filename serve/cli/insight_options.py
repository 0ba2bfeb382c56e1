"""The options by which `photoreal serve` learns what to tell of its work, and how."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from photoreal.errors import InvalidRequest, PhotorealError
from photoreal.serve.backend.log_lines import write_json
from photoreal.serve.launch.insight import LOG_FORMATS, Insight


def insight_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, and hand what they say to the command as `insight`.

    With a log in JSON, an error that ends the command is a line of it.
    """

    @click.option(
        "--log-format",
        type=click.Choice(LOG_FORMATS),
        default=LOG_FORMATS[0],
        show_default=True,
        help="json: one object a line on standard error, the server's lines included.",
    )
    @click.option(
        "--trace-otlp",
        metavar="URL",
        help="Send OpenTelemetry traces to this OTLP/HTTP collector (http://localhost:4318).",
    )
    @click.option(
        "--trace-rate",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Trace every N-th request.",
    )
    @functools.wraps(command)
    def with_insight(
        *arguments: Any, log_format: str, trace_otlp: str | None, trace_rate: int, **others: Any
    ) -> Any:
        insight = Insight(log_format, trace_otlp, trace_rate)
        try:
            insight.check()
            return command(*arguments, insight=insight, **others)
        except PhotorealError as error:
            if log_format != "json":
                raise
            write_json({"level": "error", "message": str(error)}, sys.stderr)
            raise SystemExit(2 if isinstance(error, InvalidRequest) else 1) from None

    return with_insight


class _Lines(logging.Handler):
    """Writes what the supervisor logs as lines of the log in JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        write_json({"level": record.levelname.lower(), "message": record.getMessage()}, sys.stderr)


def log_to(insight: Insight) -> None:
    """Have what this process logs written in the form that was asked for."""
    if insight.log_format == "json":
        logging.basicConfig(level=logging.INFO, handlers=[_Lines()], force=True)
    else:
        form = "%(asctime)s %(levelname)s %(message)s"
        logging.basicConfig(level=logging.INFO, format=form, force=True)


def narrators(insight: Insight) -> tuple[Callable[[str], None], Callable[[str], None]]:
    """What the command says of its work, and what it shows: standard error and output.

    With a log in JSON, both are lines of it.
    """
    if insight.log_format != "json":
        return functools.partial(click.echo, err=True), click.echo

    def write(words: str) -> None:
        for line in filter(None, map(str.strip, words.splitlines())):
            write_json({"level": "info", "message": line}, sys.stderr)

    return write, write
