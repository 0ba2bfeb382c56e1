"""nginx's settings, in nginx itself, before stand-ins for the server."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from photoreal.serve.launch.environment import free_ports
from tests.shared import wait_until

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx here")

INFER = "/v2/models/stylize/infer"


class Replica(ThreadingHTTPServer):
    """Answers every request with its own name."""

    def __init__(self) -> None:
        replica = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                name = str(replica.server_port).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(name)))
                self.end_headers()
                self.wfile.write(name)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    with ExitStack() as stack:
        found = [Replica() for _ in range(3)]
        for one in found:
            stack.callback(one.stop)
        yield found


@pytest.fixture
def address(replicas: list[Replica], root: Path, tmp_path: Path) -> Iterator[str]:
    """The balancer's address."""
    (port,) = free_ports("127.0.0.1", 1)
    text = (root / "deploy" / "balancer" / "nginx.conf").read_text()
    for number, replica in enumerate(replicas, start=1):
        text = text.replace(f"replica-{number}:8000", f"127.0.0.1:{replica.server_port}")
    assert "replica-" not in re.sub("#.*", "", text)
    text = text.replace("listen 8080;", f"listen 127.0.0.1:{port};")
    folders = "".join(
        f"{kind}_temp_path {tmp_path / kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    settings = tmp_path / "nginx.conf"
    settings.write_text(
        f"daemon off;\nmaster_process off;\npid {tmp_path / 'pid'};\n"
        f"error_log {tmp_path / 'log'};\nevents {{}}\nhttp {{\naccess_log off;\n{folders}{text}}}\n"
    )
    process = subprocess.Popen(["nginx", "-p", tmp_path, "-c", settings])
    try:
        wait_until(lambda: _listens(port) or process.poll() is not None, 10)
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ask(address: str, style: str | None, path: str = INFER) -> str:
    """The name of the replica that answered."""
    headers = {} if style is None else {"x-photoreal-style": style}
    request = urllib.request.Request(f"http://{address}{path}", b"photo", headers)
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return str(answer.read().decode())


def test_a_style_stays_with_its_replica(address: str, replicas: list[Replica]) -> None:
    styles = [f"style {number}" for number in range(30)]
    at_first = {style: _ask(address, style) for style in styles}
    assert {style: _ask(address, style) for style in styles} == at_first
    assert len(set(at_first.values())) == 3
    gone = replicas[0]
    gone.stop()
    later = {style: _ask(address, style) for style in styles}
    assert str(gone.server_port) not in later.values()
    moved = [style for style in styles if later[style] != at_first[style]]
    assert moved == [style for style in styles if at_first[style] == str(gone.server_port)]
    replicas[0] = Replica()


def test_without_the_header_requests_are_spread(address: str) -> None:
    found = Counter(_ask(address, None) for _ in range(60))
    assert len(found) == 3
    assert min(found.values()) >= 5


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/models/stylize/load",
        "/v2/systemsharedmemory/region/one/register",
        "/v2/cudasharedmemory/region/one/register",
        "/v2/logging",
        "/v2/trace/setting",
        "/v2/models/stylize/trace/setting",
    ],
)
def test_management_ends_here(path: str, address: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _ask(address, None, path)
