"""A `photoreal serve` with every lock and every window, and what collects its traces."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tritonclient.http
import trustme
from tritonclient.utils import np_to_triton_dtype

from photoreal.client import AsyncStyleTransferClient, StyleTransferClient
from photoreal.client.address import Protocol
from photoreal.serve.launch.environment import free_ports
from tests.kinds import Arrays
from tests.shared import wait_until

PROGRAM = Path(sys.executable).with_name("photoreal")
Way = tuple[str, Protocol]
"""The kind of client, "sync" or "async", and its protocol."""
SIZE = 32
API_KEY = "an-api-key-of-these-tests"
ADMIN_KEY = "an-admin-key-of-these-tests"


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, what it signed for a server and for a client, and a stranger."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    stranger: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Write them; the server's is for localhost."""
        authority, stranger = trustme.CA(), trustme.CA()
        made = cls(*(folder / f"{name}.pem" for name in cls.__annotations__))
        authority.cert_pem.write_to_path(made.authority)
        stranger.cert_pem.write_to_path(made.stranger)
        for certificate, chain, key in (
            (authority.issue_cert("localhost"), made.server, made.server_key),
            (authority.issue_cert("client.example"), made.client, made.client_key),
        ):
            certificate.private_key_pem.write_to_path(key)
            for pem in certificate.cert_chain_pems:
                pem.write_to_path(chain, append=True)
        return made


class Collector(http.server.ThreadingHTTPServer):
    """An OTLP/HTTP collector that keeps the spans it is sent."""

    def __init__(self) -> None:
        spans = self.spans = list[dict[str, Any]]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/traces"
                for resource in body["resourceSpans"]:
                    for scope in resource["scopeSpans"]:
                        spans.extend(scope["spans"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def trace_of(self, request_id: str, count: int) -> list[dict[str, Any]]:
        """The spans of the trace that a request belongs to, once there are `count` of them."""

        def found() -> list[dict[str, Any]]:
            spans = list(self.spans)
            ids = {
                span["traceId"]
                for span in spans
                if attributes(span).get("triton.request_id") == request_id
            }
            return [span for span in spans if span["traceId"] in ids]

        return once(found, count)


def once(found: Callable[[], list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    """What is found as soon as it is `count` things."""
    wait_until(lambda: len(found()) >= count, 20)
    return found()


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    """A span's attributes by name."""
    return {one["key"]: next(iter(one["value"].values())) for one in span.get("attributes", ())}


@dataclass
class Secured:
    """A running `photoreal serve`."""

    process: subprocess.Popen[bytes]
    http: str
    grpc: str
    metrics: str
    log: Path
    certificates: Certificates
    collector: Collector
    credentials: dict[str, Any] = field(default_factory=dict)
    """The client's arguments by which it is let in over gRPC."""

    def lines(self) -> list[dict[str, Any]]:
        """The log so far; every line is an object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def lines_about(self, request_id: str, count: int) -> list[dict[str, Any]]:
        """The lines about a request, once there are `count` of them."""
        return once(
            lambda: [line for line in self.lines() if line.get("request_id") == request_id], count
        )

    def stylize(self, way: Way, picture: bytes, **changes: Any) -> bytes:
        """A stylized picture; `changes` replace the credentials that would do."""
        kind, protocol = way
        options = {key: changes.pop(key) for key in ("request_id",) if key in changes}
        names = {"api_key"} if protocol == "http" else set(self.credentials)
        given = {name: self.credentials[name] for name in names} | changes
        url = self.http if protocol == "http" else self.grpc
        if kind == "sync":
            with StyleTransferClient(url, protocol=protocol, timeout=60, **given) as client:
                return client.stylize(picture, picture, size=SIZE, **options).png

        async def call() -> bytes:
            async with AsyncStyleTransferClient(
                url, protocol=protocol, timeout=60, **given
            ) as client:
                return (await client.stylize(picture, picture, size=SIZE, **options)).png

        return asyncio.run(call())

    def infer(self, model: str, arrays: Arrays, request_id: str, **headers: str) -> None:
        """Call a model with NVIDIA's client and the key."""
        inputs = []
        for name, array in arrays.items():
            dtype = np_to_triton_dtype(array.dtype)
            inputs.append(tritonclient.http.InferInput(name, array.shape, dtype))
            inputs[-1].set_data_from_numpy(array)
        shown = {"api-key": API_KEY, **headers}
        with tritonclient.http.InferenceServerClient(self.http) as client:
            client.infer(model, inputs, headers=shown, request_id=request_id)

    def metric_lines(self) -> list[str]:
        """The page that Prometheus would read."""
        with urllib.request.urlopen(self.metrics) as response:  # noqa: S310 (our own server)
            return list(response.read().decode().splitlines())

    def counts(self, name: str) -> dict[str, float]:
        """Values of a metric, by its labels as they are written, in the order of their names."""
        lines = (line for line in self.metric_lines() if line.startswith(f"{name}{{"))
        pairs = (line.rsplit(" ", 1) for line in lines)
        return {
            ",".join(sorted(labels[len(name) + 1 : -1].split(","))): float(value)
            for labels, value in pairs
        }


@contextmanager
def serving(folder: Path, repository: Path) -> Iterator[Secured]:
    """Start the command with mutual TLS, keys, a JSON log, traces and the engine "bls"."""
    certificates = Certificates.make(folder)
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    log = folder / "log"
    with Collector() as collector, log.open("wb") as stream:
        process = subprocess.Popen(
            [
                *(PROGRAM, "serve", "--repository", repository, "--engine", "bls", "--verbose"),
                *("--host", "0.0.0.0"),  # noqa: S104 (what the keys are for)
                *("--http-port", str(http), "--grpc-port", str(grpc)),
                *("--metrics-port", str(metrics), "--health-port", "0"),
                *("--log-format", "json"),
                *("--trace-otlp", collector.url, "--trace-rate", "1"),
                *(
                    "--grpc-tls-cert",
                    certificates.server,
                    "--grpc-tls-key",
                    certificates.server_key,
                ),
                *("--grpc-tls-client-ca", certificates.authority),
            ],
            cwd=folder,
            env={**os.environ, "PHOTOREAL_API_KEY": API_KEY, "PHOTOREAL_ADMIN_KEY": ADMIN_KEY},
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
        server = Secured(
            process,
            f"127.0.0.1:{http}",
            f"grpcs://localhost:{grpc}",
            f"http://127.0.0.1:{metrics}/metrics",
            log,
            certificates,
            collector,
            {
                "api_key": API_KEY,
                "ca_certificate": certificates.authority,
                "client_certificate": certificates.client,
                "client_key": certificates.client_key,
            },
        )
        try:
            wait_until(lambda: b'"Ready."' in log.read_bytes() or process.poll() is not None, 120)
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            process.wait(60)
