"""The command line of tritonserver."""

from __future__ import annotations

from pathlib import Path

import pytest

from photoreal import contract
from photoreal.serve.launch.settings import ServeSettings, command_line

LEVELS = [spec.name for spec in contract.network_levels()]
BINARY, BACKENDS = Path("/opt/tritonserver"), Path("/tmp/backends")  # noqa: S108


def _options(settings: ServeSettings, models: list[str]) -> dict[str, list[str]]:
    """Options of the command by name, each with its values."""
    program, *arguments = command_line(settings, BINARY, BACKENDS, models)
    assert program == str(BINARY)
    options: dict[str, list[str]] = {}
    for argument in arguments:
        name, _, value = argument.partition("=")
        options.setdefault(name, []).append(value)
    return options


def test_command_loads_what_is_asked_for_and_nothing_else(repository: Path) -> None:
    options = _options(ServeSettings(repository), ["stylize", "wct2"])
    assert options["--model-control-mode"] == ["explicit"]
    assert options["--load-model"] == ["stylize", "wct2"]
    assert options["--model-repository"] == [str(repository.resolve())]
    assert options["--backend-directory"] == [str(BACKENDS)]
    assert "--disable-auto-complete-config" in options


def test_command_resolves_a_relative_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.parent)
    options = _options(ServeSettings(Path("repository")), [])
    assert options["--model-repository"] == [str(repository.resolve())]


def test_command_binds_every_endpoint_to_the_host(repository: Path) -> None:
    settings = ServeSettings(
        repository, host="192.0.2.7", http_port=1001, grpc_port=1002, metrics_port=1003
    )
    options = _options(settings, [])
    for kind, port in (("http", "1001"), ("grpc", "1002"), ("metrics", "1003")):
        assert options[f"--{kind}-address"] == ["192.0.2.7"]
        assert options[f"--{kind}-port"] == [port]
    assert _options(ServeSettings(repository), [])["--http-address"] == ["127.0.0.1"]


def test_each_endpoint_gets_an_ipv6_address_in_its_own_way(repository: Path) -> None:
    options = _options(ServeSettings(repository, host="::1"), [])
    assert options["--http-address"] == options["--metrics-address"] == ["ipv6:::1"]
    assert options["--grpc-address"] == ["[::1]"]


def test_management_needs_a_key_that_is_new_every_time(repository: Path) -> None:
    settings, other = ServeSettings(repository), ServeSettings(repository)
    assert len(settings.admin_key) >= 32
    assert settings.admin_key != other.admin_key
    assert settings.admin_key not in repr(settings)
    options = _options(settings, [])
    restricted = options["--http-restricted-api"]
    assert options["--grpc-restricted-protocol"] == restricted
    apis, _, key = restricted[0].partition(":")
    assert set(apis.split(",")) >= {"model-repository", "shared-memory", "trace", "logging"}
    assert not {"inference", "health", "metadata"} & set(apis.split(","))
    assert key == f"admin-key={settings.admin_key}"


def test_shared_memory_of_two_servers_is_apart(repository: Path) -> None:
    settings, other = ServeSettings(repository), ServeSettings(repository)
    assert settings.shm_prefix != other.shm_prefix
    prefix = f"python,shm-region-prefix-name={settings.shm_prefix}"
    assert prefix in _options(settings, [])["--backend-config"]


def test_only_a_verbose_server_tells_of_its_work(repository: Path) -> None:
    assert _options(ServeSettings(repository), [])["--log-info"] == ["false"]
    assert "--log-info" not in _options(ServeSettings(repository, verbose=True), [])
