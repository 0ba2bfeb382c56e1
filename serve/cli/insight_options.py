"""Logging and tracing options of `photoreal serve`."""

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
    """Add the options to a command, which receives them as its argument `insight`.

    With a JSON log, an error that ends the command is logged as JSON.
    """

    @click.option(
        "--log-format",
        type=click.Choice(LOG_FORMATS),
        default=LOG_FORMATS[0],
        show_default=True,
        help="json: one object per line on standard error, including the lines of Triton.",
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
    """Logging handler that writes records as JSON lines to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        write_json({"level": record.levelname.lower(), "message": record.getMessage()}, sys.stderr)


def log_to(insight: Insight) -> None:
    """Configure the logging of this process in the selected format."""
    if insight.log_format == "json":
        logging.basicConfig(level=logging.INFO, handlers=[_Lines()], force=True)
    else:
        form = "%(asctime)s %(levelname)s %(message)s"
        logging.basicConfig(level=logging.INFO, format=form, force=True)


def printers(insight: Insight) -> tuple[Callable[[str], None], Callable[[str], None]]:
    """Return two functions that print progress (standard error) and results (standard output).

    With a JSON log, both write lines of the log.
    """
    if insight.log_format != "json":
        return functools.partial(click.echo, err=True), click.echo

    def write(words: str) -> None:
        for line in filter(None, map(str.strip, words.splitlines())):
            write_json({"level": "info", "message": line}, sys.stderr)

    return write, write
