"""Keys and certificates of a server, before it starts."""

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from photoreal.cli import main
from photoreal.errors import ServeError
from photoreal.serve.launch.environment import server_environment
from photoreal.serve.launch.security import GrpcTls, Security, admin_key, without_keys
from photoreal.serve.launch.settings import ServeSettings

from .conftest import KEY

NAMES = ("PHOTOREAL_ADMIN_KEY", "PHOTOREAL_API_KEY")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`server.pem` and `server_key.pem` fit each other; `other_key.pem` fits nothing here."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name in ("server", "other"):
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / f"{name}_key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    key = serialization.load_pem_private_key((folder / "server_key.pem").read_bytes(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    locked = key.private_bytes(*form, serialization.BestAvailableEncryption(b"a password"))
    (folder / "locked.pem").write_bytes(locked)
    (folder / "empty.pem").touch()
    return folder


def _tls(folder, certificate, key, client_ca=None):
    return GrpcTls(folder / certificate, folder / key, folder / client_ca if client_ca else None)


def test_an_api_key_restricts_inference_and_nothing_else():
    plain, secured = Security(), Security(KEY)
    for security in (plain, secured):
        security.check()
    management = plain.arguments("admin")
    assert len(management) == 2
    assert all(argument.endswith(":admin-key=admin") for argument in management)
    assert secured.arguments("admin") == [
        *management,
        f"--http-restricted-api=inference:api-key={KEY}",
        f"--grpc-restricted-protocol=inference:api-key={KEY}",
    ]
    assert KEY not in repr(secured)


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("::", True)],  # noqa: S104
)
def test_binding_elsewhere_without_a_key_is_warned_of(host, open_to_others):
    assert bool(Security().warning(host)) == open_to_others
    assert not Security(KEY).warning(host)


@pytest.mark.parametrize("key", ["", "short", "with a space in it", "comma,comma,comma,", "ä" * 16])
def test_keys_that_triton_could_misread_or_others_guess_are_refused(key, monkeypatch):
    with pytest.raises(ServeError, match="PHOTOREAL_API_KEY") as caught:
        Security(key).check()
    assert not key or key not in str(caught.value)
    if key:
        monkeypatch.setenv("PHOTOREAL_ADMIN_KEY", key)
        with pytest.raises(ServeError, match="PHOTOREAL_ADMIN_KEY"):
            admin_key()


def test_the_admin_key_is_the_environment_s_or_new(wheel, tmp_path, monkeypatch):
    monkeypatch.delenv(NAMES[0], raising=False)
    assert ServeSettings().admin_key != ServeSettings().admin_key
    for name in NAMES:
        monkeypatch.setenv(name, KEY)
    assert ServeSettings().admin_key == KEY
    assert not set(NAMES) & server_environment(wheel, tmp_path, {}).keys()
    assert without_keys({"PATH": "there", NAMES[0]: KEY}) == {"PATH": "there"}


def test_tls_is_simple_or_mutual(folder):
    simple = _tls(folder, "server.pem", "server_key.pem")
    mutual = _tls(folder, "server.pem", "server_key.pem", "authority.pem")
    for tls in (simple, mutual):
        Security(grpc_tls=tls).check()
    use, server = "--grpc-use-ssl=true", f"{folder}/server"
    files = [f"--grpc-server-cert={server}.pem", f"--grpc-server-key={server}_key.pem"]
    assert simple.arguments() == [use, *files]
    authority = f"--grpc-root-cert={folder}/authority.pem"
    assert mutual.arguments() == [use, "--grpc-use-ssl-mutual=true", *files, authority]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("none.pem", "server_key.pem"), "none.pem cannot be read .No such file"),
        (("server.pem", "none.pem"), "none.pem cannot be read"),
        (("server.pem", "server_key.pem", "none.pem"), "none.pem cannot be read"),
        ((".", "server_key.pem"), "Is a directory"),
        (("empty.pem", "server_key.pem"), "belong together"),
        (("server.pem", "other_key.pem"), "belong together"),
        (("server.pem", "server_key.pem", "empty.pem"), "empty.pem"),
        (("server.pem", "locked.pem"), "without a password"),
    ],
)
def test_files_that_cannot_be_used_are_refused(folder, files, words):
    with pytest.raises(ServeError, match=words):
        Security(grpc_tls=_tls(folder, *files)).check()


@pytest.mark.parametrize(
    ("options", "key", "code", "words"),
    [
        (["--grpc-tls-cert"], KEY, 2, "--grpc-tls-cert and --grpc-tls-key"),
        (["--grpc-tls-key"], KEY, 2, "--grpc-tls-cert and --grpc-tls-key"),
        (["--grpc-tls-client-ca"], KEY, 2, "--grpc-tls-cert and --grpc-tls-key"),
        (["--grpc-tls-cert", "--grpc-tls-key"], KEY, 1, "none.pem cannot be read"),
        ([], "short", 1, "PHOTOREAL_API_KEY"),
    ],
)
def test_the_command_ends_before_the_server(options, key, code, words, folder, monkeypatch, capsys):
    monkeypatch.setenv("PHOTOREAL_API_KEY", key)
    files = [word for option in options for word in (option, str(folder / "none.pem"))]
    assert main(["serve", *files]) == code
    captured = capsys.readouterr().err
    assert words in captured
    assert "Error: " in captured
    assert "Starting" not in captured
