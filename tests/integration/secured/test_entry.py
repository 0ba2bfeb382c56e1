"""Who is let in by a `photoreal serve` with keys and mutual TLS."""

from __future__ import annotations

import queue
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from photoreal.cli import main
from photoreal.client import AccessDenied, ServerUnavailable, StyleTransferClient
from photoreal.serve.launch.security import GrpcTls, Security
from tests.integration.conftest import quiet_server, running_web
from tests.kinds import Capture, Patch
from tests.unit.client.video.video import film

from .running import ADMIN_KEY, API_KEY, SIZE, Certificates, Secured, Way

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
def test_only_the_key_and_the_certificates_let_in(
    server: Secured, way: Way, picture: bytes
) -> None:
    assert server.stylize(way, picture).startswith(b"\x89PNG")
    for key in (None, "a-wrong-key-of-these-tests", ADMIN_KEY):
        with pytest.raises(AccessDenied, match="API key") as caught:
            server.stylize(way, picture, api_key=key)
        assert API_KEY not in str(caught.value)


def test_other_endpoints_over_http_are_closed(server: Secured) -> None:
    doors = ("infer", "versions/1/infer", "generate", "generate_stream")
    for path in (*(f"stylize/{door}" for door in doors), "wct2/infer", "segmenter/infer"):
        assert _post(server, f"models/{path}", {}) == 403
        assert _post(server, f"models/{path}", {"api-key": API_KEY}) != 403


def test_other_endpoints_over_grpc_are_closed(server: Secured) -> None:
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
def test_grpc_wants_certificates_of_both_sides(server: Secured, picture: bytes, kind: str) -> None:
    way: Way = (kind, "grpc")
    with pytest.raises(ServerUnavailable):
        server.stylize(way, picture, client_certificate=None, client_key=None)
    with pytest.raises(ServerUnavailable, match="untrusted issuer"):
        server.stylize(way, picture, ca_certificate=server.certificates.stranger)
    url = server.grpc.removeprefix("grpcs://")  # without TLS
    with StyleTransferClient(url, protocol="grpc", timeout=20, api_key=API_KEY) as client:
        assert not client.ready()


def test_tls_alone_lets_every_client_in(
    bare_repository: Path, tmp_path: Path, picture: bytes
) -> None:
    files = Certificates.make(tmp_path)
    security = Security(grpc_tls=GrpcTls(files.server, files.server_key))
    with quiet_server(bare_repository, security=security) as server:
        url = f"grpcs://localhost:{server.settings.grpc_port}"
        with StyleTransferClient(url, protocol="grpc", ca_certificate=files.authority) as client:
            assert client.stylize(picture, picture, size=SIZE).png.startswith(b"\x89PNG")
        with StyleTransferClient(url, protocol="grpc") as client:
            assert not client.ready()


def test_health_is_open_and_management_is_not(server: Secured) -> None:
    with StyleTransferClient(server.http) as client:
        assert client.ready()
    for headers, status in (
        ({}, 403),
        ({"admin-key": API_KEY}, 403),
        ({"api-key": API_KEY}, 403),
        ({"admin-key": ADMIN_KEY}, 200),
    ):
        assert _post(server, "repository/index", headers) == status, headers


def test_no_process_shows_a_key_and_models_do_not_get_them(server: Secured) -> None:
    owner = psutil.Process(server.process.pid)
    processes = [owner, *owner.children(recursive=True)]
    models = [one for one in processes if one.name().startswith("triton_python")]
    assert len(models) >= 3
    public = [" ".join(one.cmdline()) for one in processes]
    public += [str(one.environ()) for one in models]
    assert not [words for words in public if ADMIN_KEY in words or API_KEY in words]


def _entry(server: Secured) -> list[str]:
    """The options by which a command is let in over gRPC, but for the key."""
    files = server.certificates
    return [
        *("--url", server.grpc, "--protocol", "grpc", "--ca-cert", str(files.authority)),
        *("--client-cert", str(files.client), "--client-key", str(files.client_key)),
    ]


@pytest.mark.parametrize(("command", "suffix"), [("stylize", ".png"), ("video", ".mp4")])
def test_the_command_line_takes_the_key_from_the_environment(
    command: str,
    suffix: str,
    server: Secured,
    picture: bytes,
    tmp_path: Path,
    monkeypatch: Patch,
    capsys: Capture,
) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / f"out{suffix}"
    photo.write_bytes(picture)
    content = photo if command == "stylize" else film(tmp_path / "film.mp4", 2)
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
    with running_web(tmp_path / "log", *_entry(server), PHOTOREAL_API_KEY=key) as (_, url):
        answer = httpx2.post(
            f"{url}/upload_images/",
            files={"content_image": picture, "style_image": picture},
            data={"size": str(SIZE)},
            timeout=60,
        )
    assert answer.status_code == status
    assert answer.content.startswith(b"\x89PNG") == (status == 200)
    log = (tmp_path / "log").read_text()
    assert API_KEY not in log
    assert ("PHOTOREAL_API_KEY" in log) == (status == 502)
    assert server.grpc.encode() not in answer.content
