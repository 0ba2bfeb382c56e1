"""Starting, awaiting and stopping a server, on a stand-in for tritonserver."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.export.configs import Target, model_configs
from photoreal.serve import launcher
from photoreal.serve.adapter import is_exported
from photoreal.serve.canary import canary
from photoreal.serve.environment import Wheel, free_ports
from photoreal.serve.launcher import (
    Server,
    ServeSettings,
    assemble_backends,
    command_line,
    embedded_server,
)
from photoreal.serve.repository import models_to_load

LEVELS = [spec.name for spec in contract.network_levels()]
BINARY, BACKENDS = Path("/opt/tritonserver"), Path("/tmp/backends")  # noqa: S108


@pytest.fixture(autouse=True)
def _no_engine_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(contract.ENGINE_VARIABLE, raising=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with every config and no network exported."""
    folder = tmp_path / "repository"
    for name, text in model_configs().items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text)
    return folder


def _export(repository: Path, *names: str, kind: str = "onnx") -> None:
    for name in names:
        (repository / name / "1" / f"model.{kind}").touch()


# --- what is loaded ------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [None, "local"])
def test_local_engine_needs_no_network_level(engine: str | None, repository: Path) -> None:
    _export(repository, *LEVELS)
    assert models_to_load(repository, engine) == ["stylize", "wct2", "cancel"]


@pytest.mark.parametrize("kind", ["onnx", "plan"])
def test_segmenter_is_loaded_where_it_is_exported(kind: str, repository: Path) -> None:
    assert not is_exported(repository, "segmenter")
    _export(repository, "segmenter", kind=kind)
    assert models_to_load(repository, "local") == ["stylize", "wct2", "cancel", "segmenter"]


@pytest.mark.parametrize("kind", ["onnx", "plan"])
def test_bls_engine_needs_every_level(kind: str, repository: Path) -> None:
    _export(repository, *LEVELS, kind=kind)
    assert models_to_load(repository, "bls") == ["stylize", "wct2", "cancel", *LEVELS]


@pytest.mark.parametrize("by", ["config", "environment"])
def test_bls_engine_may_be_the_config_s_or_the_environment_s_choice(
    by: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "config":
        config = repository / "wct2" / "config.pbtxt"
        config.write_text(config.read_text().replace('"local"', '"bls"'))
    else:
        monkeypatch.setenv(contract.ENGINE_VARIABLE, "bls")
    _export(repository, *LEVELS)
    assert models_to_load(repository, None) == ["stylize", "wct2", "cancel", *LEVELS]
    assert models_to_load(repository, "local") == ["stylize", "wct2", "cancel"]


def test_levels_that_the_bls_engine_lacks_are_named(repository: Path) -> None:
    _export(repository, *LEVELS[:-2])
    words = rf"not exported \({LEVELS[-2]}, {LEVELS[-1]}\); .*photoreal export --repository"
    with pytest.raises(ServeError, match=words):
        models_to_load(repository, "bls")


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"no model repository in .*photoreal export"):
        models_to_load(tmp_path, None)


# --- the device ----------------------------------------------------------------------------


def _environment(settings: ServeSettings) -> dict[str, str]:
    return Server(settings)._chosen_engine()


def test_engine_device_and_precision_reach_the_model(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photoreal.serve.device.require_cuda", lambda: None)
    assert _environment(ServeSettings(repository)) == {}
    settings = ServeSettings(repository, engine="local", device="cuda", precision="fp32")
    assert _environment(settings) == {
        "PHOTOREAL_ENGINE": "local",
        "PHOTOREAL_DEVICE": "cuda",
        "PHOTOREAL_PRECISION": "fp32",
    }


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_a_device_that_is_not_there_is_told_before_the_start(
    by: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def require() -> None:
        raise ServeError("none here")

    monkeypatch.setattr("photoreal.serve.device.require_cuda", require)
    if by == "environment":
        monkeypatch.setenv(contract.DEVICE_VARIABLE, "cuda")
    with pytest.raises(ServeError, match="none here"):
        _environment(ServeSettings(repository, device="cuda" if by == "setting" else None))


def test_the_device_is_the_local_engine_s(repository: Path) -> None:
    with pytest.raises(ServeError, match=r"for the local engine; .*export --device gpu"):
        _environment(ServeSettings(repository, engine="bls", device="cuda"))


def test_models_on_a_gpu_get_a_pool_for_the_largest_request(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Server(ServeSettings(repository))._gpu_pool(["wct2"]) == 0
    for name, text in model_configs("cat5", Target(gpu=True)).items():
        (repository / name / "config.pbtxt").write_text(text)
    settings = ServeSettings(repository, limits={"PHOTOREAL_MAX_WORKING_PIXELS": "1000000"})
    pool = Server(settings)._gpu_pool(["wct2", *LEVELS])
    # Kept: 64 + 32 + 16 channels of features, 3 (16 + 8 + 4) of bands. The largest call undoes
    # the first pooling: 64 + 3 * 16 channels and 32 go in, 64 come out.
    assert pool == 4 * 1_000_000 * (112 + 84 + 64 + 3 * 16 + 32 + 64)
    command = command_line(settings, BINARY, BACKENDS, ["wct2"], pool)
    assert f"--cuda-memory-pool-byte-size=0:{pool}" in command
    assert not any("cuda" in one for one in command_line(settings, BINARY, BACKENDS, ["wct2"]))


# --- the command ---------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]")],  # noqa: S104
)
def test_addresses_can_be_reached_from_this_machine(host: str, reached: str) -> None:
    server = Server(ServeSettings(host=host, http_port=11, grpc_port=12, metrics_port=13))
    assert server.http_url == f"{reached}:11"
    assert server.grpc_url == f"{reached}:12"
    assert server.metrics_url == f"http://{reached}:13/metrics"


# --- backends ------------------------------------------------------------------------------


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    """Folders like the wheel's, with a server that answers nothing and runs until it is ended."""
    folder = tmp_path / "wheel"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    (backend / "libtriton_python.so").write_text("library")
    (backend / "triton_python_backend_utils.py").write_text("utils")
    (backend / "__pycache__").mkdir()
    stub = folder / "stubs" / "triton_python_backend_stub"
    stub.parent.mkdir()
    stub.write_text("stub")
    wheel = Wheel(folder / "tritonserver", backend, stub, folder / "libs")
    _write_server(wheel, "while true; do sleep 0.05; done")
    return wheel


def _write_server(wheel: Wheel, script: str) -> None:
    wheel.binary.write_text(f"#!/bin/sh\n{script}\n")
    wheel.binary.chmod(0o755)


def test_backends_are_the_wheel_s_with_the_right_stub_and_our_own(
    wheel: Wheel, tmp_path: Path
) -> None:
    backends = assemble_backends(wheel, tmp_path / "made")
    assert {path.name for path in backends.iterdir()} == {"python", "onnxruntime"}
    python = {path.name: path.read_text() for path in (backends / "python").iterdir()}
    assert python == {
        "libtriton_python.so": "library",
        "triton_python_backend_utils.py": "utils",
        "triton_python_backend_stub": "stub",
    }
    own = backends / "onnxruntime" / "model.py"
    source = Path(__file__).parents[2] / "serve" / "backends" / "onnxruntime" / "model.py"
    assert own.read_text() == source.read_text()
    assert own.resolve() == source.resolve()


def test_a_backend_that_the_wheel_lacks_is_named(
    wheel: Wheel, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "check_environment", lambda: wheel)
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(repository, http_port=http, grpc_port=grpc, metrics_port=metrics)
    config = repository / "wct2" / "config.pbtxt"
    config.write_text(config.read_text().replace('"python"', '"tensorrt"'))
    with pytest.raises(ServeError, match="model wct2 needs the backend tensorrt, which this"):
        Server(settings).__enter__()


def test_models_for_a_gpu_are_not_started_without_one(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in model_configs(target=Target(gpu=True)).items():
        (repository / name / "config.pbtxt").write_text(text)
    _export(repository, *LEVELS)
    asked: list[list[str]] = []

    def refuse(models: list[str]) -> None:
        asked.append(models)
        raise ServeError("There is no GPU.")

    monkeypatch.setattr(launcher, "check_gpu", refuse)
    with pytest.raises(ServeError, match="no GPU"):
        Server(ServeSettings(repository)).start()
    assert asked == [["wct2", *LEVELS]]


def test_a_command_can_be_shown_without_its_keys(
    wheel: Wheel, repository: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "check_environment", lambda: wheel)
    settings = ServeSettings(repository)
    shown = Server(settings).command()
    assert shown[0] == str(wheel.binary)
    assert settings.admin_key not in " ".join(shown)
    assert len([one for one in shown if one.endswith(":admin-key=***")]) == 2
    assert not list(temporary.iterdir())


# --- the process ---------------------------------------------------------------------------


@pytest.fixture
def settings(repository: Path) -> ServeSettings:
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    return ServeSettings(repository, "local", "127.0.0.1", http, grpc, metrics)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files of this test go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def ready(
    wheel: Wheel, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bool], None]]:
    """Makes the stand-in the server of this machine, and says whether it counts as ready."""

    def set_ready(answer: bool) -> None:
        monkeypatch.setattr(launcher, "canary", lambda url, timeout, key: answer)

    monkeypatch.setattr(launcher, "check_environment", lambda: wheel)
    set_ready(True)
    before = set(psutil.Process().children(recursive=True))
    yield set_ready
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [child for child in left if child.is_running()]


def _settled(pid: int) -> psutil.Process:
    """The process, once the system tells of its command and its environment."""
    process = psutil.Process(pid)
    deadline = time.monotonic() + 10
    while not (process.cmdline() and process.environ()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


@pytest.mark.usefixtures("ready")
def test_a_server_runs_until_it_is_stopped(settings: ServeSettings, temporary: Path) -> None:
    leftover = Path("/dev/shm") / f"{settings.shm_prefix}region"  # noqa: S108
    with Server(settings) as server:
        process = _settled(server.pid)
        assert server.poll() is None
        assert (
            process.cmdline()[2:]
            == command_line(
                settings,
                BINARY,
                next(temporary.iterdir()) / "backends",
                ["stylize", "wct2", "cancel"],
            )[1:]
        )
        assert process.environ()["PHOTOREAL_ENGINE"] == "local"
        assert os.getsid(server.pid) == server.pid  # out of reach of Ctrl-C
        leftover.touch()
    assert not process.is_running()
    assert not leftover.exists()
    assert not list(temporary.iterdir())
    server.stop()  # once more does no harm
    with pytest.raises(ServeError, match="not running"):
        _ = server.pid


@pytest.mark.usefixtures("ready")
def test_without_an_engine_the_config_decides(repository: Path) -> None:
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(repository, None, "127.0.0.1", http, grpc, metrics)
    with Server(settings) as server:
        assert "PHOTOREAL_ENGINE" not in _settled(server.pid).environ()


@pytest.mark.usefixtures("ready")
def test_helpers_that_outlive_the_server_are_ended(settings: ServeSettings, wheel: Wheel) -> None:
    _write_server(wheel, f"{sys.executable} -c 'import time; time.sleep(60)' &\nsleep 60")
    with Server(settings) as server:
        deadline = time.monotonic() + 10
        children: list[psutil.Process] = []
        while len(children) < 2 and time.monotonic() < deadline:
            children = psutil.Process(server.pid).children(recursive=True)
            time.sleep(0.02)
        assert len(children) == 2
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert len(gone) == 2
    assert not alive


def test_a_server_that_stops_while_starting_is_reported(
    ready: Callable[[bool], None], settings: ServeSettings, wheel: Wheel, temporary: Path
) -> None:
    ready(False)
    _write_server(wheel, "exit 3")
    with pytest.raises(ServeError, match=r"stopped while starting \(exit code 3\)"):
        Server(settings).__enter__()
    assert not list(temporary.iterdir())


def test_a_server_that_is_never_ready_is_reported(
    ready: Callable[[bool], None], settings: ServeSettings
) -> None:
    ready(False)
    server = Server(settings)
    server.start()
    try:
        with pytest.raises(ServeError, match="not ready within 1 s"):
            server.wait_ready(timeout_s=0.6)
    finally:
        server.stop()


def test_nobody_there_is_not_ready() -> None:
    (port,) = free_ports("127.0.0.1", 1)
    assert not canary(f"127.0.0.1:{port}", 1.0)


@pytest.mark.usefixtures("ready")
def test_a_server_that_ends_by_itself_can_be_waited_for(
    settings: ServeSettings, wheel: Wheel
) -> None:
    _write_server(wheel, "sleep 0.2; exit 5")
    with Server(settings) as server:
        assert server.wait() == 5
        assert server.poll() == 5


@pytest.mark.usefixtures("ready")
def test_nothing_is_started_in_vain(settings: ServeSettings, temporary: Path) -> None:
    taken = ServeSettings(settings.repository, http_port=8000, grpc_port=8000)
    with pytest.raises(ServeError, match="not all different"):
        Server(taken).__enter__()
    with pytest.raises(ServeError, match="no model repository"):
        Server(ServeSettings(temporary)).__enter__()
    assert not list(temporary.iterdir())


@pytest.mark.usefixtures("ready")
def test_an_embedded_server_leaves_nothing_behind(repository: Path, temporary: Path) -> None:
    with embedded_server(repository) as server:
        assert psutil.pid_exists(server.pid)
        ports = server.settings.ports()
        assert len(set(ports.values())) == 3
        assert [path.suffix for path in sorted(temporary.glob("*.log"))] == [".log"]
    assert not list(temporary.iterdir())


@pytest.mark.usefixtures("ready")
def test_the_log_of_an_embedded_server_that_cannot_start_is_kept(
    repository: Path, wheel: Wheel, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "canary", lambda url, timeout, key: False)
    _write_server(wheel, "echo the reason; exit 1")
    with (
        pytest.raises(ServeError, match=r"exit code 1.* The log is in .*\.log") as no,
        embedded_server(repository),
    ):
        pass
    (log,) = temporary.iterdir()
    assert str(log) in str(no.value)
    assert log.read_text() == "the reason\n"


@pytest.mark.usefixtures("ready")
def test_an_error_of_the_caller_ends_an_embedded_server(repository: Path, temporary: Path) -> None:
    class Mistake(Exception):
        """Something that goes wrong while the server runs."""

    def use() -> None:
        with embedded_server(repository) as server:
            os.kill(server.pid, signal.SIGCONT)
            raise Mistake

    with pytest.raises(Mistake):
        use()
    assert not list(temporary.iterdir())
