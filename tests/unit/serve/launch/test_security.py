"""Keys and certificates of a server, before it starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from photoreal.cli import main
from photoreal.errors import ServeError
from photoreal.serve.cli import command
from photoreal.serve.launch.environment import Wheel, server_environment
from photoreal.serve.launch.security import GrpcTls, Security, admin_key, without_keys
from photoreal.serve.launch.settings import ServeSettings

KEY = "a-key-of-these-tests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`server.pem` and `server_key.pem` fit each other; `other_key.pem` fits nothing here."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    for name in ("server", "other"):
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / f"{name}_key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    (folder / "empty.pem").touch()
    return folder


def _tls(folder: Path, certificate: str, key: str, client_ca: str | None = None) -> GrpcTls:
    return GrpcTls(folder / certificate, folder / key, folder / client_ca if client_ca else None)


def test_nothing_is_asked_for_unless_it_is_set() -> None:
    security = Security()
    security.check()
    arguments = security.arguments("admin")
    assert len(arguments) == 2
    assert all(argument.endswith(":admin-key=admin") for argument in arguments)


def test_an_api_key_restricts_inference_and_nothing_else() -> None:
    security = Security(KEY)
    security.check()
    rule = f"inference:api-key={KEY}"
    assert security.arguments("admin")[2:] == [
        f"--http-restricted-api={rule}",
        f"--grpc-restricted-protocol={rule}",
    ]
    assert KEY not in repr(security)


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("::", True)],  # noqa: S104
)
def test_binding_elsewhere_without_a_key_is_warned_of(host: str, open_to_others: bool) -> None:
    assert bool(Security().warning(host)) == open_to_others
    assert not Security(KEY).warning(host)


@pytest.mark.parametrize("key", ["", "short", "with a space in it", "comma,comma,comma,", "ä" * 16])
def test_keys_that_triton_could_misread_or_others_guess_are_refused(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServeError, match="PHOTOREAL_API_KEY is not a valid key") as caught:
        Security(key).check()
    assert not key or key not in str(caught.value)
    if key:
        monkeypatch.setenv("PHOTOREAL_ADMIN_KEY", key)
        with pytest.raises(ServeError, match="PHOTOREAL_ADMIN_KEY is not a valid key"):
            admin_key()


def test_the_admin_key_is_the_environment_s_or_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHOTOREAL_ADMIN_KEY", raising=False)
    assert ServeSettings().admin_key != ServeSettings().admin_key
    monkeypatch.setenv("PHOTOREAL_ADMIN_KEY", KEY)
    assert ServeSettings().admin_key == KEY


def test_the_server_s_environment_has_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("PHOTOREAL_ADMIN_KEY", "PHOTOREAL_API_KEY")
    for name in names:
        monkeypatch.setenv(name, KEY)
    found = server_environment(Wheel(tmp_path, tmp_path, tmp_path, tmp_path), tmp_path, {})
    assert not set(names) & found.keys()
    assert without_keys({"PATH": "there", names[0]: KEY}) == {"PATH": "there"}


def test_tls_is_simple_or_mutual(folder: Path) -> None:
    simple = _tls(folder, "server.pem", "server_key.pem")
    mutual = _tls(folder, "server.pem", "server_key.pem", "authority.pem")
    for tls in (simple, mutual):
        Security(grpc_tls=tls).check()
    files = [
        f"--grpc-server-cert={folder}/server.pem",
        f"--grpc-server-key={folder}/server_key.pem",
    ]
    assert simple.arguments() == ["--grpc-use-ssl=true", *files]
    assert mutual.arguments() == [
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        *files,
        f"--grpc-root-cert={folder}/authority.pem",
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("none.pem", "server_key.pem"), "none.pem cannot be read .No such file"),
        (("server.pem", "none.pem"), "none.pem cannot be read"),
        (("server.pem", "server_key.pem", "none.pem"), "none.pem cannot be read"),
        ((".", "server_key.pem"), "Is a directory"),
        (("empty.pem", "server_key.pem"), "expected PEM files that belong together"),
        (("server.pem", "other_key.pem"), "expected PEM files that belong together"),
        (("server.pem", "server_key.pem", "empty.pem"), "contains no CA certificate"),
    ],
    ids=["no certificate", "no key", "no authority", "folder", "empty", "misfit", "no CA inside"],
)
def test_files_that_cannot_be_used_are_a_sentence(
    folder: Path, files: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ServeError, match=words):
        Security(grpc_tls=_tls(folder, *files)).check()


def test_a_key_with_a_password_is_refused_without_asking(folder: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key((folder / "server_key.pem").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a password"),
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    with pytest.raises(ServeError, match="without a password"):
        GrpcTls(folder / "server.pem", tmp_path / "locked.pem").check()


# --- the command ---------------------------------------------------------------------------


@pytest.fixture
def serve() -> Callable[..., Result]:
    """Runs the command in a place without a model repository, where it ends soon."""
    return lambda *arguments: CliRunner().invoke(command.serve, arguments)


@pytest.mark.parametrize("given", ["--grpc-tls-cert", "--grpc-tls-key", "--grpc-tls-client-ca"])
def test_half_a_pair_of_files_is_refused(
    serve: Callable[..., Result], folder: Path, given: str
) -> None:
    outcome = serve(given, str(folder / "server.pem"))
    assert outcome.exit_code == 2
    assert "TLS for gRPC needs --grpc-tls-cert and --grpc-tls-key." in outcome.output


def test_what_cannot_be_used_ends_the_command_before_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    none = str(folder / "none.pem")
    assert main(["serve", "--grpc-tls-cert", none, "--grpc-tls-key", none]) == 1
    assert "none.pem cannot be read" in capsys.readouterr().err
    monkeypatch.setenv("PHOTOREAL_API_KEY", "short")
    assert main(["serve"]) == 1
    captured = capsys.readouterr().err
    assert captured.startswith("Error: PHOTOREAL_API_KEY is not a valid key;")
    assert "Starting" not in captured
