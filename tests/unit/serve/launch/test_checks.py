"""What a server finds out, and refuses, before it starts."""

from pathlib import Path

import pytest

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.export.configs import ExportTarget
from photoreal.serve.launch import launcher
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings, command_line

from .conftest import LEVELS

REQUIRE_CUDA = "photoreal.serve.backend.device.require_cuda"
BINARY, BACKENDS = Path("/opt/tritonserver"), Path("/tmp/backends")  # noqa: S108


def _environment(settings):
    return Server(settings)._chosen_engine()


def test_engine_device_and_precision_reach_the_model(repository, monkeypatch):
    monkeypatch.setattr(REQUIRE_CUDA, lambda: None)
    assert _environment(ServeSettings(repository)) == {}
    settings = ServeSettings(repository, engine="local", device="cuda", precision="fp32")
    assert _environment(settings) == {
        "PHOTOREAL_ENGINE": "local",
        "PHOTOREAL_DEVICE": "cuda",
        "PHOTOREAL_PRECISION": "fp32",
    }
    with pytest.raises(ServeError, match=r"local engine.*export --device cuda"):
        _environment(ServeSettings(repository, engine="bls", device="cuda"))


@pytest.mark.parametrize("by_environment", [False, True])
def test_a_missing_device_is_refused_before_the_start(by_environment, repository, monkeypatch):
    def require():
        raise ServeError("none here")

    monkeypatch.setattr(REQUIRE_CUDA, require)
    if by_environment:
        monkeypatch.setenv(contract.DEVICE_VARIABLE, "cuda")
    with pytest.raises(ServeError, match="none here"):
        _environment(ServeSettings(repository, device=None if by_environment else "cuda"))


def test_models_on_a_gpu_get_a_pool_for_the_largest_request(repository, configure):
    assert Server(ServeSettings(repository))._gpu_pool(["wct2"]) == 0
    configure("cat5", ExportTarget(gpu=True))
    settings = ServeSettings(repository, limits={"PHOTOREAL_MAX_WORKING_PIXELS": "1000000"})
    pool = Server(settings)._gpu_pool(["wct2", *LEVELS])
    # Kept: 64 + 32 + 16 channels of features, 3 (16 + 8 + 4) of bands. The largest call undoes
    # the first pooling: 64 + 3 * 16 channels and 32 go in, 64 come out.
    assert pool == 4 * 1_000_000 * (112 + 84 + 64 + 3 * 16 + 32 + 64)
    command = command_line(settings, BINARY, BACKENDS, ["wct2"], pool)
    assert f"--cuda-memory-pool-byte-size=0:{pool}" in command
    assert not any("cuda" in one for one in command_line(settings, BINARY, BACKENDS, ["wct2"]))


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")],  # noqa: S104
)
def test_addresses_can_be_reached_from_this_machine(host, reached):
    server = Server(ServeSettings(host=host, http_port=11, grpc_port=12, metrics_port=13))
    assert (server.http_url, server.grpc_url) == (f"{reached}:11", f"{reached}:12")
    assert server.metrics_url == f"http://{reached}:13/metrics"


def test_models_for_a_gpu_are_not_started_without_one(repository, configure, export, monkeypatch):
    configure("cat5", ExportTarget(gpu=True))
    export(*LEVELS)
    asked = []

    def refuse(models):
        asked.append(models)
        raise ServeError("There is no GPU.")

    monkeypatch.setattr(launcher, "check_gpu", refuse)
    with pytest.raises(ServeError, match="no GPU"):
        Server(ServeSettings(repository)).start()
    assert asked == [["wct2", *LEVELS]]


@pytest.mark.usefixtures("ready")
def test_a_command_can_be_shown_without_its_keys(wheel, settings, temporary):
    shown = Server(settings).command()
    assert shown[0] == str(wheel.binary)
    assert settings.admin_key not in " ".join(shown)
    assert len([one for one in shown if one.endswith(":admin-key=***")]) == 2
    assert not list(temporary.iterdir())
