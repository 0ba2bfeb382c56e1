"""`photoreal web` and `photoreal upload` through the real server."""

from __future__ import annotations

import base64
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from photoreal.client import StylizeResult
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

PROGRAM = Path(sys.executable).with_name("photoreal")


@pytest.fixture(scope="module")
def files(pair: Callable[[str], dict[str, Any]]) -> dict[str, Path]:
    return pair("pagoda-dusk")


@pytest.fixture(scope="module")
def forms(files: dict[str, Path]) -> dict[str, Any]:
    """The files of a form."""
    return {f"{role}_image": files[role].read_bytes() for role in ("content", "style")}


def _run(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_call_of_old(
    gateway: str,
    local: Server,
    files: dict[str, Path],
    tmp_path: Path,
    stylize: Callable[..., StylizeResult],
) -> None:
    (tmp_path / "content.png").write_bytes(files["content"].read_bytes())
    (tmp_path / "style.png").write_bytes(files["style"].read_bytes())
    call = f"--api_url {gateway}/upload_images/ --content_image content.png --style_image style.png"
    done = _run("upload", *call.split(), "--alpha", 1, "--size", 48, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    wanted = stylize(local, content=files["content"], style=files["style"], alpha=1, output_size=48)
    assert (tmp_path / "result.png").read_bytes() == wanted.png


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--alpha", 1.5), "alpha is 1.5; expected a number from 0 to 1."),
        (("--size", "big"), "size is 'big'; expected a whole number."),
        (("--output", "out.jpg"), "is no .png"),
        (("--style-image", "missing.png"), "does not exist."),
    ],
)
def test_upload_that_has_to_be_changed(
    gateway: str, files: dict[str, Path], tmp_path: Path, options: tuple[object, ...], words: str
) -> None:
    photos = "--content-image", files["content"], "--style-image", files["style"]
    url = "--api-url", f"{gateway}/upload_images/"
    done = _run("upload", *url, *photos, *options, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_upload_to_nobody_and_to_a_stranger(
    local: Server, files: dict[str, Path], tmp_path: Path
) -> None:
    photos = "--content-image", files["content"], "--style-image", files["style"]
    (port,) = free_ports("127.0.0.1", 1)
    for url, words in (
        (f"http://127.0.0.1:{port}/upload_images/", "Nothing answers"),
        (f"http://{local.http_url}/upload_images/", "HTTP status 404"),
    ):
        done = _run("upload", "--api-url", url, *photos, folder=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_regions_given_back_give_the_same_picture(gateway: str, forms: dict[str, Any]) -> None:
    published = {"size": "48", "method": "published"}  # whose regions are label maps
    with httpx2.Client(base_url=gateway, timeout=60) as caller:
        found = caller.post("/regions/", files=forms, data=published).json()
        masks = {
            f"{role}_mask": base64.b64decode(found[role]["labels"]) for role in ("content", "style")
        }
        data = published | {"blend": "3", "pairs": json.dumps(found["pairs"])}
        again = caller.post("/upload_images/", files=forms | masks, data=data)
        direct = caller.post("/upload_images/", files=forms, data=published)
    assert direct.headers["content-type"] == "image/png"
    assert "transfer;dur=" in direct.headers["server-timing"]
    assert again.content == direct.content
    assert len(found["content"]["regions"]) > 1


@pytest.mark.parametrize(
    ("change", "data", "words"),
    [
        ({"content_image": b"plain words"}, {}, "content photo is no image"),
        ({}, {"size": "3"}, "size is 3; expected 16 to 2048 pixels."),
        ({}, {"match": "closest"}, "match is 'closest'"),
        ({"content_mask": b"x"}, {}, "There is a content mask but no style mask"),
        ({}, {"pairs": "[[1, 200]]", "size": "32"}, "style region 200"),
    ],
)
def test_sentences_of_the_server_come_through(
    gateway: str,
    forms: dict[str, Any],
    change: dict[str, bytes],
    data: dict[str, str],
    words: str,
) -> None:
    with httpx2.Client(base_url=gateway, timeout=60) as caller:
        answer = caller.post("/upload_images/", files=forms | change, data=data)
        assert answer.status_code == 400
        assert words in answer.json()["detail"]
        assert caller.get("/health").json() == {"ready": True}


def test_an_upload_without_end_is_cut_off(gateway: str) -> None:
    """With no length declared; the answer comes while the sender still sends."""
    host, port = gateway.removeprefix("http://").split(":")
    head = (
        f"POST /upload_images/ HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    part = b'--x\r\nContent-Disposition: form-data; name="content_image"; filename="a"\r\n\r\n'
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    sent = 0
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + b"%x\r\n%s\r\n" % (len(part), part))
        try:
            while sent < 400:
                connection.sendall(piece)
                sent += 1
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert 190 <= sent < 400  # MiB: three files, and what lies in buffers


def test_a_declared_length_is_refused_at_once(gateway: str) -> None:
    host, port = gateway.removeprefix("http://").split(":")
    head = f"POST /regions/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: {1 << 40}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_starts_and_ends_a_server_of_its_own(
    bare_repository: Path,
    tmp_path: Path,
    number: signal.Signals,
    session_processes: Callable[[int], set[int]],
) -> None:
    nowhere, port = free_ports("127.0.0.1", 2)
    where = "--url", f"127.0.0.1:{nowhere}", "--embedded", "--repository", str(bare_repository)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "web", *where, "--port", str(port)], stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"Ready.\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        names = {one: Path(f"/proc/{one}/comm").read_text().strip() for one in children}
        servers = [one for one, name in names.items() if name == "tritonserver"]
        assert len(servers) == 1
        assert httpx2.get(f"http://127.0.0.1:{port}/health").json() == {"ready": True}
    finally:
        process.send_signal(number)
        process.communicate(timeout=40)
    assert process.returncode == 0
    assert session_processes(int(servers[0])) == set()
    assert (tmp_path / "log").read_text() == "Starting Triton ...\nStopped.\n"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _run("web", "--url", "127.0.0.1:1", "--port", port, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"The port {port} on 127.0.0.1 cannot be used" in done.stderr


def test_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    nowhere, port = free_ports("127.0.0.1", 2)
    process = subprocess.Popen(
        [PROGRAM, "web", "--url", f"127.0.0.1:{nowhere}", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"Ready.\n"
        answer = httpx2.get(f"http://127.0.0.1:{port}/health")
        assert answer.status_code == 503
        assert answer.json()["detail"] == "The stylization server is not ready."
    finally:
        process.terminate()
        process.communicate(timeout=30)
