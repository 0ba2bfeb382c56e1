"""Keys and certificates that a client accepts or refuses, and sends to servers."""

import ssl

import pytest
import trustme

from photoreal.client import AsyncStyleTransferClient, StyleTransferClient
from photoreal.client._transport.credentials import Credentials
from photoreal.client.errors import InvalidInput, ServerUnavailable

from ..conftest import KINDS, PHOTO, call, http_answer, png, read_request, serving

CLIENTS = [StyleTransferClient, AsyncStyleTransferClient]
TLS_URLS = {"http": "https://there:1", "grpc": "grpcs://there:1"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name in ("own", "other", "localhost"):
        certificate = authority.issue_cert(name)
        certificate.private_key_pem.write_to_path(folder / f"{name}_key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    (folder / "empty.pem").touch()
    return folder


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
class TestCertificates:
    def test_accepted(self, client, protocol, files):
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
            ({"ca_certificate": "empty.pem"}, "CA certificate .*PEM"),
            ({"client_certificate": "own.pem"}, "key"),
            ({"client_key": "own_key.pem"}, "certificate"),
            ({"client_certificate": "own.pem", "client_key": "other_key.pem"}, "together"),
            ({"client_certificate": "own.pem", "client_key": "none.pem"}, "does not exist"),
        ],
    )
    def test_refused(self, client, protocol, files, given, words):
        paths = {name: files / file for name, file in given.items()}
        with pytest.raises(InvalidInput, match=words):
            client(TLS_URLS[protocol], protocol=protocol, **paths)

    def test_need_tls(self, client, protocol, files):
        with pytest.raises(InvalidInput, match=r"(https|grpcs)://"):
            client("there:1", protocol=protocol, ca_certificate=files / "authority.pem")


@pytest.fixture(scope="module")
def https(files):
    """A server with a certificate, to which clients show one of the same authority; its URL."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files / "authority.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files / "localhost.pem", files / "localhost_key.pem")

    def handle(connection):
        with context.wrap_socket(connection, server_side=True) as secured:
            read_request(secured)
            secured.sendall(http_answer())

    with serving(handle) as url:
        yield f"https://{url.replace('127.0.0.1', 'localhost')}"


@pytest.mark.parametrize("kind", KINDS)
def test_https_before_triton_verifies_both_sides(kind, https, files):
    ca = {"ca_certificate": files / "authority.pem"}
    own = {"client_certificate": files / "own.pem", "client_key": files / "own_key.pem"}
    assert call(kind, https, **ca, **own).png == png(PHOTO)
    with pytest.raises(ServerUnavailable, match="trusted"):
        call(kind, https)
    with pytest.raises(ServerUnavailable):
        call(kind, https, **ca, retries=0)


class TestKey:
    @pytest.mark.parametrize("client", CLIENTS)
    @pytest.mark.parametrize("key", ["", "a b", "a\r\nb: c", "ä", 7])
    def test_refused(self, client, key):
        with pytest.raises(InvalidInput, match=r"api_key|API key") as caught:
            client("there:1", api_key=key)
        assert "b: c" not in str(caught.value)

    def test_is_sent_with_requests_alone_and_never_printed(self, serve_bytes):
        with StyleTransferClient(serve_bytes(http_answer()), api_key="a-key") as client:
            client.stylize(b"content", b"style")
            client.ready()
        first, second = serve_bytes.requests[:2]
        assert b"\r\napi-key: a-key\r\n" in first
        assert b"a-key" not in second
        assert "a-key" not in repr(Credentials("a-key"))
