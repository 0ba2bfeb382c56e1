"""Keys and certificates that a client takes or refuses, and what servers say to them."""

import asyncio
import contextlib
import socketserver
import ssl
import threading

import pytest
import trustme
from click.testing import CliRunner
from tritonclient.utils import InferenceServerException

from photoreal.client import (
    AccessDenied,
    AsyncStyleTransferClient,
    InvalidInput,
    ServerUnavailable,
    StyleTransferClient,
)
from photoreal.client._transport.base import Exchange
from photoreal.client._transport.credentials import Credentials
from photoreal.client.address import Address
from photoreal.client.cli.stylize import stylize

from ..conftest import PHOTO, FakeTransport, answer, png, read_request
from .test_transport import http_answer

CLIENTS = [StyleTransferClient, AsyncStyleTransferClient]
TLS_URLS = {"http": "https://there:1", "grpc": "grpcs://there:1"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name in ("own", "other"):
        certificate = authority.issue_cert("client.example")
        certificate.private_key_pem.write_to_path(folder / f"{name}_key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "server_key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    (folder / "empty.pem").touch()
    return folder


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
class TestCertificates:
    def test_taken(self, client, protocol, files):
        client(
            TLS_URLS[protocol],
            protocol=protocol,
            ca_certificate=files / "authority.pem",
            client_certificate=str(files / "own.pem"),
            client_key=str(files / "own_key.pem"),
        )

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"ca_certificate": "none.pem"}, "CA certificate .*none.pem.* does not exist"),
            ({"ca_certificate": "empty.pem"}, "CA certificate .*expected PEM"),
            ({"client_certificate": "own.pem"}, "needs its key"),
            ({"client_key": "own_key.pem"}, "a key its certificate"),
            ({"client_certificate": "own.pem", "client_key": "other_key.pem"}, "belong together"),
            ({"client_certificate": "own.pem", "client_key": "none.pem"}, "does not exist"),
        ],
    )
    def test_refused(self, client, protocol, files, given, words):
        paths = {name: files / file for name, file in given.items()}
        with pytest.raises(InvalidInput, match=words):
            client(TLS_URLS[protocol], protocol=protocol, **paths)

    def test_need_tls(self, client, protocol, files):
        with pytest.raises(InvalidInput, match=r"expected an address with (https|grpcs)://"):
            client("there:1", protocol=protocol, ca_certificate=files / "authority.pem")


@pytest.fixture(scope="module")
def https(files):
    """A server with a certificate, to which clients show one of the same authority; its URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files / "server.pem", files / "server_key.pem")
    reply = http_answer(answer())
    requests = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            # An unwilling client hangs up in the middle.
            with (
                contextlib.suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as connection,
            ):
                requests.append(read_request(connection))
                connection.sendall(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def call(kind, url, **credentials):
    if kind == "sync":
        with StyleTransferClient(url, timeout=10, **credentials) as client:
            return client.stylize(b"content", b"style")

    async def run():
        async with AsyncStyleTransferClient(url, timeout=10, **credentials) as client:
            return await client.stylize(b"content", b"style")

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["sync", "async"])
class TestHttps:
    """As a proxy before Triton speaks it."""

    def test_both_sides_are_known(self, kind, https, files):
        own = {"client_certificate": files / "own.pem", "client_key": files / "own_key.pem"}
        result = call(kind, https, ca_certificate=files / "authority.pem", **own)
        assert result.png == png(PHOTO)

    def test_unknown_server(self, kind, https):
        with pytest.raises(ServerUnavailable, match="wrong host name or untrusted issuer"):
            call(kind, https)

    def test_unknown_client(self, kind, https, files):
        with pytest.raises(ServerUnavailable):
            call(kind, https, ca_certificate=files / "authority.pem")


class TestKey:
    @pytest.mark.parametrize("client", CLIENTS)
    @pytest.mark.parametrize("key", ["", "a b", "a\r\nb: c", "ä", 7])
    def test_refused(self, client, key):
        with pytest.raises(InvalidInput, match=r"api_key|API key") as caught:
            client("there:1", api_key=key)
        assert "b: c" not in str(caught.value)

    def test_is_no_part_of_a_repr(self):
        assert "secret" not in repr(Credentials("secret"))

    def test_is_sent_with_requests_alone(self, serve_bytes):
        url = serve_bytes(http_answer(answer()))
        with StyleTransferClient(url, api_key="a-key") as client:
            client.stylize(b"content", b"style")
            client.ready()
        first, second = serve_bytes.requests[:2]
        assert b"\r\napi-key: a-key\r\n" in first
        assert b"a-key" not in second

    @pytest.mark.parametrize(
        "error",
        [
            InferenceServerException("This API is restricted, expecting header 'api-key'", "403"),
            InferenceServerException("<html>", "401", "debug"),
            InferenceServerException("no", "StatusCode.PERMISSION_DENIED"),
            InferenceServerException("no", "StatusCode.UNAUTHENTICATED"),
            InferenceServerException(
                "This protocol is restricted, expecting header 'x'", "StatusCode.UNAVAILABLE"
            ),
        ],
    )
    def test_missing_is_the_caller_s_to_mend(self, error):
        found = Exchange(Address("there:1"), 1.0, "7").answered(error)
        assert isinstance(found, AccessDenied)
        assert str(found).startswith("The server at there:1 requires an API key")
        assert found.request_id == "7"


class TestCommand:
    def test_hands_over_what_it_was_given(self, tmp_path, monkeypatch):
        seen = {}

        def connect(url, **arguments):
            seen.update(arguments)
            return StyleTransferClient(transport=FakeTransport())

        photo = tmp_path / "photo.png"
        photo.write_bytes(png(PHOTO))
        arguments = [str(photo), str(photo), "-o", str(tmp_path / "out.png")]
        monkeypatch.setenv("PHOTOREAL_API_KEY", "a-key")
        options = ["--ca-cert", "a", "--client-cert", "b", "--client-key", "c"]
        assert CliRunner().invoke(stylize, arguments + options, obj=connect).exit_code == 0
        others = ("protocol", "timeout", "retries")
        shown = {name: str(value) for name, value in seen.items() if name not in others}
        assert shown == {
            "api_key": "a-key",
            "ca_certificate": "a",
            "client_certificate": "b",
            "client_key": "c",
        }
