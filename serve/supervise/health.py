"""Health endpoints of the supervisor over HTTP: /live, /ready and /metrics.

Triton's own health endpoints return 200 even after its model processes have died.
"""

from __future__ import annotations

import json
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import disable_created_metrics as _disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_CLIENT_S = 5.0

_disable_created_metrics()  # type: ignore[no-untyped-call]


class Status:
    """State of the server as the supervisor sees it: readiness and metrics.

    `problem` is None if the server is ready for requests, otherwise a sentence that describes the
    problem.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._problem: str | None = "The server is starting."
        self._ready = Gauge(
            "photoreal_ready", "Whether the server answers real requests.", registry=registry
        )
        self.model_restarts = Counter(
            "photoreal_model_restarts",
            "Model reloads, by model and reason.",
            ["model", "reason"],
            registry=registry,
        )
        self.server_restarts = Counter(
            "photoreal_server_restarts",
            "Restarts of the whole server, by reason.",
            ["reason"],
            registry=registry,
        )
        self.canaries = Counter(
            "photoreal_canaries", "Canary requests, by result.", ["result"], registry=registry
        )
        self.canary_seconds = Histogram(
            "photoreal_canary_seconds",
            "Duration of canary requests in seconds, including the queue.",
            buckets=_SECONDS,
            registry=registry,
        )
        for result in ("answered", "failed", "busy"):
            self.canaries.labels(result)

    @property
    def problem(self) -> str | None:
        """Description of the problem, None if the server is ready."""
        return self._problem

    @problem.setter
    def problem(self, sentence: str | None) -> None:
        self._problem = sentence
        self._ready.set(sentence is None)

    def stopping(self) -> None:
        """Report that the server is about to stop, so that no more requests are sent."""
        self.problem = "The server is stopping."


class HealthServer:
    """HTTP server for GET /live, /ready and /metrics, in background threads."""

    def __init__(self, host: str, port: int, status: Status) -> None:
        handler = type("Handler", (_Handler,), {"status": status})
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = type("Server", (ThreadingHTTPServer,), {"address_family": family})
        self._server: ThreadingHTTPServer = server((host, port), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="health"
        )
        self._thread.daemon = True

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    status: Status
    timeout = _CLIENT_S
    server_version = "photoreal"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/live":
            self._answer(HTTPStatus.OK, {"live": True})
        elif path == "/ready":
            problem = self.status.problem
            code = HTTPStatus.OK if problem is None else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(code, {"ready": problem is None, "problem": problem})
        elif path == "/metrics":
            self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.status.registry))
        else:
            self._answer(
                HTTPStatus.NOT_FOUND, {"error": "Not found; expected /live, /ready or /metrics."}
            )

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, code: HTTPStatus, value: dict[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(value).encode())

    def _send(self, code: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: a probe comes every few seconds."""
