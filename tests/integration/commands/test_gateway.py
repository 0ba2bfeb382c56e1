"""`photoreal web` and `photoreal upload` through the real server."""

from __future__ import annotations

import base64
import json
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from speed.memory import session_processes

from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import check_refusal, photoreal, running_web
from tests.kinds import PairFiles, Stylize

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def files(pair: PairFiles) -> dict[str, Path]:
    return pair("pagoda-dusk")


@pytest.fixture(scope="module")
def forms(files: dict[str, Path]) -> dict[str, Any]:
    """The files of a form."""
    return {f"{role}_image": files[role].read_bytes() for role in ("content", "style")}


@pytest.fixture(scope="module")
def photos(files: dict[str, Path]) -> tuple[object, ...]:
    return "upload", "--content-image", files["content"], "--style-image", files["style"]


def test_the_original_command_line(
    gateway: str, local: Server, files: dict[str, Path], tmp_path: Path, stylize: Stylize
) -> None:
    (tmp_path / "content.png").write_bytes(files["content"].read_bytes())
    (tmp_path / "style.png").write_bytes(files["style"].read_bytes())
    call = f"--api_url {gateway}/upload_images/ --content_image content.png --style_image style.png"
    done = photoreal(tmp_path, "upload", *call.split(), "--alpha", 1, "--size", 48)
    assert (done.returncode, done.stderr) == (0, "")
    photos = {"content": files["content"], "style": files["style"]}
    wanted = stylize(local, **photos, alpha=1, output_size=48, format="png")
    assert (tmp_path / "result.png").read_bytes() == wanted.png


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--alpha", 1.5), "alpha is 1.5"),
        (("--size", "big"), "size is 'big'"),
        (("--output", "out.jpg"), ".png"),
        (("--style-image", "missing.png"), "missing.png"),
    ],
)
def test_upload_that_has_to_be_changed(
    gateway: str,
    photos: tuple[object, ...],
    tmp_path: Path,
    options: tuple[object, ...],
    words: str,
) -> None:
    done = photoreal(tmp_path, *photos, "--api-url", f"{gateway}/upload_images/", *options)
    check_refusal(done, 2, words, tmp_path)


@pytest.mark.parametrize("whom", ["nobody", "a stranger"])
def test_upload_to_the_wrong_address(
    local: Server, photos: tuple[object, ...], tmp_path: Path, whom: str
) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    host, words = f"127.0.0.1:{port}", "No response"
    if whom != "nobody":
        host, words = local.http_url, "404"
    done = photoreal(tmp_path, *photos, "--api-url", f"http://{host}/upload_images/")
    check_refusal(done, 1, words, tmp_path)


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
        ({"content_image": b"plain words"}, {}, "content photo"),
        ({}, {"size": "3"}, "size is 3"),
        ({"content_mask": b"x"}, {}, "style mask"),
        ({}, {"pairs": "[[1, 200]]", "size": "32"}, "style region 200"),
        ({}, {"format": "jpeg", "bit_depth": "16"}, "expected the format png or tiff"),
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


def _connect(gateway: str) -> socket.socket:
    host, port = gateway.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def test_an_upload_without_end_is_cut_off(gateway: str) -> None:
    """With no length declared; the answer comes while the sender still sends."""
    head = (
        b"POST /upload_images/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    part = b'--x\r\nContent-Disposition: form-data; name="content_image"; filename="a"\r\n\r\n'
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    sent = 0
    with _connect(gateway) as connection:
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(part), part))
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 400:
                connection.sendall(piece)
                sent += 1
    assert 190 <= sent < 400  # MiB: three files, and what lies in buffers


def test_a_declared_length_is_refused_at_once(gateway: str) -> None:
    with _connect(gateway) as connection:
        head = f"POST /regions/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 40}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_starts_and_ends_a_server_of_its_own(
    bare_repository: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (nowhere,) = free_ports("127.0.0.1", 1)
    where = "--url", f"127.0.0.1:{nowhere}", "--embedded", "--repository", bare_repository
    with running_web(tmp_path / "log", *where) as (process, url):
        children = psutil.Process(process.pid).children()
        (server,) = (one.pid for one in children if one.name() == "tritonserver")
        assert httpx2.get(f"{url}/health").json() == {"ready": True}
        process.send_signal(number)
        assert process.wait(40) == 0
    assert session_processes(server) == set()
    assert (tmp_path / "log").read_text() == "Starting Triton ...\nStopped.\n"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = photoreal(tmp_path, "web", "--url", "127.0.0.1:1", "--port", port)
    check_refusal(done, 1, f"{port} on 127.0.0.1", tmp_path)


def test_a_server_that_has_not_started(tmp_path: Path) -> None:
    (nowhere,) = free_ports("127.0.0.1", 1)
    with running_web(tmp_path / "log", "--url", f"127.0.0.1:{nowhere}") as (_, url):
        answer = httpx2.get(f"{url}/health")
    assert answer.status_code == 503
    assert answer.json()["detail"].endswith("not ready.")
