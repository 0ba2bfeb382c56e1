"""The command line of tritonserver."""

from pathlib import Path

import pytest

from photoreal.serve.launch.settings import ServeSettings, command_line

BINARY, BACKENDS = Path("/opt/tritonserver"), Path("/tmp/backends")  # noqa: S108


@pytest.fixture
def options(repository):
    """Options of the command by name, each with its values."""

    def parse(settings=None, models=(), **changes):
        settings = settings or ServeSettings(**{"repository": repository, **changes})
        program, *arguments = command_line(settings, BINARY, BACKENDS, list(models))
        assert program == str(BINARY)
        options: dict[str, list[str]] = {}
        for argument in arguments:
            name, _, value = argument.partition("=")
            options.setdefault(name, []).append(value)
        return options

    return parse


def test_command_loads_what_is_asked_for_and_nothing_else(options, repository, monkeypatch):
    monkeypatch.chdir(repository.parent)
    for given in (repository, Path("repository")):
        found = options(models=["stylize", "wct2"], repository=given)
        assert found["--model-control-mode"] == ["explicit"]
        assert found["--load-model"] == ["stylize", "wct2"]
        assert found["--model-repository"] == [str(repository.resolve())]
        assert found["--backend-directory"] == [str(BACKENDS)]
        assert "--disable-auto-complete-config" in found
        assert found["--log-info"] == ["false"]
    assert "--log-info" not in options(verbose=True)


@pytest.mark.parametrize(
    ("host", "http", "grpc"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "ipv6:::1", "[::1]"),
    ],
)
def test_command_binds_every_endpoint_to_the_host(host, http, grpc, options):
    found = options(host=host, http_port=1001, grpc_port=1002, metrics_port=1003)
    endpoints = (("http", http, "1001"), ("grpc", grpc, "1002"), ("metrics", http, "1003"))
    for kind, address, port in endpoints:
        assert found[f"--{kind}-address"] == [address]
        assert found[f"--{kind}-port"] == [port]
    assert options()["--http-address"] == ["127.0.0.1"]


def test_management_needs_a_key_and_memory_a_name_that_are_new_every_time(options, repository):
    settings, other = ServeSettings(repository), ServeSettings(repository)
    assert len(settings.admin_key) >= 32
    assert settings.admin_key != other.admin_key
    assert settings.admin_key not in repr(settings)
    found = options(settings)
    restricted = found["--http-restricted-api"]
    assert found["--grpc-restricted-protocol"] == restricted
    apis, _, key = restricted[0].partition(":")
    assert set(apis.split(",")) >= {"model-repository", "shared-memory", "trace", "logging"}
    assert not {"inference", "health", "metadata"} & set(apis.split(","))
    assert key == f"admin-key={settings.admin_key}"
    assert settings.shm_prefix != other.shm_prefix
    prefix = f"python,shm-region-prefix-name={settings.shm_prefix}"
    assert prefix in found["--backend-config"]
