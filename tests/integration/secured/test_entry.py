"""Who is let in by a `photoreal serve` with keys and mutual TLS."""

from __future__ import annotations

import io
import os
import queue
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import httpx2
import numpy as np
import psutil
import pytest
import tritonclient.grpc
from PIL import Image
from tritonclient.utils import InferenceServerException

from photoreal.cli import main
from photoreal.client import (
    AccessDenied,
    ServerUnavailable,
    StyleTransferClient,
)
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.security import GrpcTls, Security
from photoreal.serve.launch.settings import ServeSettings

from .running import ADMIN_KEY, API_KEY, PROGRAM, SIZE, Certificates, Secured, Way

pytestmark = pytest.mark.server

WAYS: list[Way] = [(kind, protocol) for kind in ("sync", "async") for protocol in ("http", "grpc")]


def _post(server: Secured, path: str, headers: dict[str, str]) -> int:
    """The status of the answer to an empty object."""
    url = f"http://{server.http}/v2/{path}"
    request = urllib.request.Request(url, data=b"{}", headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 (our own server)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


# --- who is let in -------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_the_key_and_the_certificates_let_in(server: Secured, way: Way, picture: bytes) -> None:
    assert server.stylize(way, picture).startswith(b"\x89PNG")


@pytest.mark.parametrize("way", WAYS, ids="-".join)
@pytest.mark.parametrize("key", [None, "a-wrong-key-of-these-tests", ADMIN_KEY])
def test_without_the_key_nothing_is_stylized(
    server: Secured, way: Way, picture: bytes, key: str | None
) -> None:
    with pytest.raises(AccessDenied, match="requires an API key") as caught:
        server.stylize(way, picture, api_key=key)
    assert API_KEY not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "stylize/infer",
        "stylize/versions/1/infer",
        "stylize/generate",
        "stylize/generate_stream",
        "wct2/infer",
        "segmenter/infer",
    ],
)
def test_there_is_no_other_door_over_http(server: Secured, path: str) -> None:
    assert _post(server, f"models/{path}", {}) == 403
    assert _post(server, f"models/{path}", {"api-key": API_KEY}) != 403


def test_there_is_no_other_door_over_grpc(server: Secured) -> None:
    files, answers = server.certificates, queue.Queue[Any]()
    with tritonclient.grpc.InferenceServerClient(
        server.grpc.removeprefix("grpcs://"),
        ssl=True,
        root_certificates=str(files.authority),
        certificate_chain=str(files.client),
        private_key=str(files.client_key),
    ) as client:
        client.start_stream(lambda result, error: answers.put(error))
        tensor = tritonclient.grpc.InferInput("CONTENT", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([b"a photo"], dtype=object))
        with suppress(InferenceServerException):  # the stream may have been closed already
            client.async_stream_infer("stylize", [tensor])
        assert "This protocol is restricted" in str(answers.get(timeout=20))


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("case", ["no certificate", "unknown server", "no TLS"])
def test_grpc_wants_certificates_of_both_sides(
    server: Secured, picture: bytes, kind: str, case: str
) -> None:
    without = {"client_certificate": None, "client_key": None}
    if case == "no TLS":
        url = server.grpc.removeprefix("grpcs://")
        with StyleTransferClient(url, protocol="grpc", timeout=20, api_key=API_KEY) as client:
            assert not client.ready()
        return
    changes = (
        without if case == "no certificate" else {"ca_certificate": server.certificates.stranger}
    )
    with pytest.raises(ServerUnavailable) as caught:
        server.stylize((kind, "grpc"), picture, **changes)
    if case == "unknown server":
        assert "wrong host name or untrusted issuer" in str(caught.value)


def test_tls_alone_lets_every_client_in(
    bare_repository: Path, tmp_path: Path, picture: bytes
) -> None:
    files = Certificates.make(tmp_path)
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        bare_repository,
        "local",
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        security=Security(grpc_tls=GrpcTls(files.server, files.server_key)),
    )
    with (tmp_path / "log").open("wb") as log, Server(settings, log):
        url = f"grpcs://localhost:{grpc}"
        with StyleTransferClient(url, protocol="grpc", ca_certificate=files.authority) as client:
            assert client.stylize(picture, picture, size=SIZE).png.startswith(b"\x89PNG")
        with StyleTransferClient(url, protocol="grpc") as client:
            assert not client.ready()


def test_health_is_open_and_management_is_not(server: Secured) -> None:
    with StyleTransferClient(server.http) as client:
        assert client.ready()
    for header, key, status in (
        ("admin-key", None, 403),
        ("admin-key", API_KEY, 403),
        ("api-key", API_KEY, 403),
        ("admin-key", ADMIN_KEY, 200),
    ):
        headers = {} if key is None else {header: key}
        found = _post(server, "repository/index", headers)
        assert found == status, (header, key)


def test_the_process_list_shows_no_key(server: Secured) -> None:
    owner = psutil.Process(server.process.pid)
    processes = [owner, *owner.children(recursive=True)]
    assert len(processes) > 4
    for process in processes:
        command = " ".join(process.cmdline())
        assert not [key for key in (ADMIN_KEY, API_KEY) if key in command], process.name()


def test_models_do_not_get_the_keys(server: Secured) -> None:
    processes = psutil.Process(server.process.pid).children(recursive=True)
    models = [one for one in processes if one.name().startswith("triton_python")]
    assert len(models) >= 3
    for process in models:
        environment = str(process.environ())
        assert not [key for key in (ADMIN_KEY, API_KEY) if key in environment]


def _entry(server: Secured) -> list[str]:
    """The options by which a command is let in over gRPC, but for the key."""
    files = server.certificates
    return [
        *("--url", server.grpc, "--protocol", "grpc", "--ca-cert", str(files.authority)),
        *("--client-cert", str(files.client), "--client-key", str(files.client_key)),
    ]


def _film(path: Path, picture: bytes) -> Path:
    """A film of two frames that are the picture."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=10)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(2):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    return path


@pytest.mark.parametrize(("command", "suffix"), [("stylize", ".png"), ("video", ".mp4")])
def test_the_command_line_takes_the_key_from_the_environment(
    command: str,
    suffix: str,
    server: Secured,
    picture: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / f"out{suffix}"
    photo.write_bytes(picture)
    content = photo if command == "stylize" else _film(tmp_path / "film.mp4", picture)
    arguments = [command, str(content), str(photo), "-o", str(out), "--size", str(SIZE)]
    arguments += _entry(server)
    monkeypatch.delenv("PHOTOREAL_API_KEY", raising=False)
    assert main(arguments) == 2
    assert "Set it in the environment variable PHOTOREAL_API_KEY." in capsys.readouterr().err
    assert not out.exists()
    monkeypatch.setenv("PHOTOREAL_API_KEY", API_KEY)
    assert main(arguments) == 0
    assert out.stat().st_size > 0


@pytest.mark.parametrize(("key", "status"), [(API_KEY, 200), ("", 502)], ids=["key", "no key"])
def test_the_gateway_takes_the_key_from_the_environment(
    key: str, status: int, server: Secured, picture: bytes, tmp_path: Path
) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "web", "--port", str(port), *_entry(server)],
            env={**os.environ, "PHOTOREAL_API_KEY": key},
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"Ready.\n"
            answer = httpx2.post(
                f"http://127.0.0.1:{port}/upload_images/",
                files={"content_image": picture, "style_image": picture},
                data={"size": str(SIZE)},
                timeout=60,
            )
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert answer.status_code == status
    assert answer.content.startswith(b"\x89PNG") == (status == 200)
    assert API_KEY not in (tmp_path / "log").read_text()
