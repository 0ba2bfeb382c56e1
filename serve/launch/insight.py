"""Observability settings of a server: log format and OpenTelemetry tracing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from photoreal.errors import ServeError

LOG_FORMATS = ("text", "json")
_TRACES_PATH = "/v1/traces"
_EXPORT_DELAY_MS = 1000
"""Delay before finished spans are exported as a batch; OpenTelemetry's default is 5000."""


@dataclass(frozen=True)
class Insight:
    """Log format and tracing of a server.

    `log_format` is "text" or "json". `trace_otlp` is the address of an OTLP/HTTP collector, None
    for no tracing; every `trace_rate`-th request is traced.
    """

    log_format: str = LOG_FORMATS[0]
    trace_otlp: str | None = None
    trace_rate: int = 1

    def check(self) -> None:
        """Raise ServeError if the collector's address is invalid."""
        if self.trace_otlp is None:
            return
        try:
            parts = urlsplit(self.trace_otlp)
            readable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            readable = False
        if not readable or not all("!" <= sign <= "~" for sign in self.trace_otlp):
            raise ServeError(
                f"The collector's address {self.trace_otlp!r} cannot be read; expected one such"
                " as http://localhost:4318."
            )

    def arguments(self) -> list[str]:
        """Command-line options of tritonserver."""
        arguments = ["--log-format=ISO8601"] if self.log_format == "json" else []
        if self.trace_otlp is None:
            return arguments
        url = self.trace_otlp.rstrip("/")
        if not urlsplit(url).path:
            url += _TRACES_PATH
        settings = (
            "mode=opentelemetry",
            "level=TIMESTAMPS",
            f"rate={self.trace_rate}",
            f"opentelemetry,url={url}",
            "opentelemetry,resource=service.name=photoreal",
            f"opentelemetry,bsp_schedule_delay={_EXPORT_DELAY_MS}",
        )
        return arguments + [f"--trace-config={setting}" for setting in settings]
