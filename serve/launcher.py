"""Starting, awaiting and stopping a real tritonserver from the wheel."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.serve import guard
from photoreal.serve.canary import canary
from photoreal.serve.driver import check_gpu
from photoreal.serve.environment import (
    Installation,
    Wheel,
    check_environment,
    check_ports,
    free_ports,
    server_environment,
)
from photoreal.serve.gpu_memory import pool_bytes
from photoreal.serve.insight import Insight
from photoreal.serve.installation import check_backends, find_installation
from photoreal.serve.limits import request_limits, settled
from photoreal.serve.log_lines import rewrite_in_background
from photoreal.serve.repository import (
    configured_backends,
    configured_engine,
    models_on_gpu,
    models_to_load,
)
from photoreal.serve.request_queue import with_queue
from photoreal.serve.security import Security, admin_key

BACKENDS = Path(__file__).parent / "backends"
DEFAULT_REPOSITORY = Path("model_repository")
_END_S = 10.0
_GROUP_END_S = 5.0
_HELD_UP_S = 2.0
READY_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class ServeSettings:
    """How to serve; `engine` None leaves the choice to the repository's config.

    So do `device` and `precision`, where and how the local engine runs its networks.
    `style_cache` is how many bytes known styles may take; 0 keeps none. `limits` are environment
    variables as `photoreal.serve.limits` lists them, in place of this process's own. `triton` is
    the folder of an installed Triton, such as a container's; None takes the wheel's.
    `start_timeout_s` is how long models may take to load, `exit_timeout_s` how long a server that
    is told to stop waits for requests in flight; for as long, a client's idle connection holds it
    up.
    """

    repository: Path = DEFAULT_REPOSITORY
    engine: str | None = None
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    verbose: bool = False
    style_cache: int = contract.DEFAULT_STYLE_CACHE_BYTES
    exit_timeout_s: int = contract.DEFAULT_EXIT_TIMEOUT_S
    limits: Mapping[str, str] = field(default_factory=dict)
    admin_key: str = field(default_factory=admin_key, repr=False)
    security: Security = field(default_factory=Security)
    insight: Insight = field(default_factory=Insight)
    shm_prefix: str = field(default_factory=lambda: f"{guard.PREFIX}{secrets.token_hex(6)}_")
    triton: Path | None = None
    start_timeout_s: float = READY_TIMEOUT_S
    device: str | None = None
    precision: str | None = None

    def ports(self) -> dict[str, int]:
        """The three ports by name."""
        return {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}


def command_line(
    settings: ServeSettings, binary: Path, backends: Path, models: list[str], gpu_pool: int = 0
) -> list[str]:
    """The tritonserver command for these settings.

    Only what is needed is loaded, and management needs a key: a load call may carry code. Triton
    takes the key from its command line alone, so other users of this machine may read it in the
    list of processes, unless /proc is mounted with hidepid=2 or the server has a container of
    its own. It is made anew at every start and opens nothing else.

    `gpu_pool` is how many bytes of the first GPU are for what models hand each other; 0 is for
    models that have nothing there.
    """
    host = settings.host
    arguments = [
        str(binary),
        f"--model-repository={settings.repository.resolve()}",
        f"--backend-directory={backends}",
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in models),
        "--disable-auto-complete-config",
        f"--http-address={host}",
        f"--grpc-address={host}",
        f"--metrics-address={host}",
        f"--http-port={settings.http_port}",
        f"--grpc-port={settings.grpc_port}",
        f"--metrics-port={settings.metrics_port}",
        *settings.security.arguments(settings.admin_key),
        *settings.insight.arguments(),
        f"--backend-config=python,shm-region-prefix-name={settings.shm_prefix}",
        f"--exit-timeout-secs={settings.exit_timeout_s}",
        *([f"--cuda-memory-pool-byte-size=0:{gpu_pool}"] if gpu_pool else []),
    ]
    return arguments if settings.verbose else [*arguments, "--log-info=false"]


def hide_keys(command: list[str]) -> list[str]:
    """A command of `command_line` that can be shown."""
    return [re.sub(r"^(--(?:http|grpc)-restricted-.*-key=).*", r"\1***", one) for one in command]


class Server:
    """A running tritonserver.

    `log` takes the server's output; None passes it on to this process's standard error.
    """

    def __init__(self, settings: ServeSettings, log: IO[bytes] | None = None) -> None:
        self.settings = settings
        self._log = log
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._rewriter: threading.Thread | None = None
        self._guard: guard.Guard | None = None

    @property
    def http_url(self) -> str:
        """Address of the HTTP endpoint, host:port."""
        return self.address(self.settings.http_port)

    @property
    def grpc_url(self) -> str:
        """Address of the gRPC endpoint, host:port."""
        return self.address(self.settings.grpc_port)

    @property
    def metrics_url(self) -> str:
        """Address of the Prometheus metrics."""
        return f"http://{self.address(self.settings.metrics_port)}/metrics"

    def address(self, port: int) -> str:
        """Where this machine reaches a port of the server's host, host:port."""
        return f"{_reachable(self.settings.host)}:{port}"

    @property
    def pid(self) -> int:
        """Process id of tritonserver; its models are its children."""
        if self._process is None:
            raise ServeError("The server is not running.")
        return self._process.pid

    def start(self) -> None:
        """Check the machine and start the process; raises ServeError."""
        settings = self.settings
        settings.security.check()
        settings.insight.check()
        models = models_to_load(settings.repository, settings.engine)
        check_gpu(models_on_gpu(settings.repository, models))
        extra = self._chosen_engine()
        check_ports(settings.host, settings.ports())
        guard.remove_stale()
        self._folder = tempfile.TemporaryDirectory(prefix="photoreal-")
        self._guard = guard.Guard(settings.shm_prefix, Path(self._folder.name))
        triton = self._find_triton(models, Path(self._folder.name))
        limits = settled({**os.environ, **settings.limits})
        served = with_queue(settings.repository, Path(self._folder.name), limits)
        extra |= {contract.STYLE_CACHE_VARIABLE: str(settings.style_cache), **limits}
        as_json = settings.insight.log_format == "json"
        self._process = subprocess.Popen(
            command_line(
                replace(settings, repository=served),
                triton.binary,
                triton.backends,
                models,
                self._gpu_pool(models),
            ),
            env=server_environment(triton, extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if as_json else self._log,
            stderr=subprocess.STDOUT if as_json or self._log else None,
            start_new_session=True,  # Ctrl-C reaches this process, which then stops the server
        )
        if self._process.stdout is not None:
            self._rewriter = rewrite_in_background(self._process.stdout, self._log)

    def _chosen_engine(self) -> dict[str, str]:
        """Variables that tell `wct2` of engine, device and precision; raises ServeError."""
        settings = self.settings
        given = {
            contract.ENGINE_VARIABLE: settings.engine,
            contract.DEVICE_VARIABLE: settings.device,
            contract.PRECISION_VARIABLE: settings.precision,
        }
        if (settings.device or os.environ.get(contract.DEVICE_VARIABLE)) == "cuda":
            if (settings.engine or configured_engine(settings.repository)) == "bls":
                raise ServeError(
                    "The device cuda is for the local engine; what the bls engine calls runs where"
                    " it was exported for: photoreal export --device gpu."
                )
            from photoreal.serve.device import require_cuda  # takes seconds, as torch does

            require_cuda()
        return {name: value for name, value in given.items() if value}

    def _gpu_pool(self, models: list[str]) -> int:
        if not set(models_on_gpu(self.settings.repository, models)) - {contract.SEGMENTER.name}:
            return 0
        limits = request_limits({**os.environ, **self.settings.limits})
        return pool_bytes(limits.max_working_pixels)

    def _find_triton(self, models: list[str], folder: Path) -> Installation:
        """The Triton that the settings name, or else the wheel's, laid out in `folder`."""
        if self.settings.triton is not None:
            triton = find_installation(self.settings.triton)
        else:
            wheel = check_environment()
            triton = Installation(wheel.binary, assemble_backends(wheel, folder), wheel.libraries)
        check_backends(triton, configured_backends(self.settings.repository, models))
        return triton

    def command(self) -> list[str]:
        """The command that `start` would run, with stars for its keys; raises ServeError."""
        settings = self.settings
        models = models_to_load(settings.repository, settings.engine)
        with tempfile.TemporaryDirectory(prefix="photoreal-") as folder:
            triton = self._find_triton(models, Path(folder))
            pool = self._gpu_pool(models)
            return hide_keys(command_line(settings, triton.binary, triton.backends, models, pool))

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until a real request through every stage has been answered; raises ServeError."""
        timeout_s = self.settings.start_timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if (code := self.poll()) is not None:
                raise ServeError(
                    f"The server stopped while starting (exit code {code}); its log tells why."
                )
            key = self.settings.security.api_key
            if canary(self.http_url, deadline - time.monotonic(), key):
                return
            time.sleep(0.2)
        raise ServeError(
            f"The server was not ready within {timeout_s:.0f} s; its log may tell why."
        )

    def poll(self) -> int | None:
        """Exit code when the process has ended, None while it runs."""
        return None if self._process is None else self._process.poll()

    def wait(self) -> int:
        """Wait for the process to end by itself."""
        return 0 if self._process is None else self._process.wait()

    def stop(self) -> None:
        """Let requests in flight finish, then end the server and all that it started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)  # should somebody have stopped it
            self._await_exit(process)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # helpers that outlived the server
            process.wait()
            _await_end_of_group(process.pid)
        if self._guard is not None:
            self._guard.release()
            self._guard = None
        if self._rewriter is not None:
            self._rewriter.join(_GROUP_END_S)  # the last lines
            self._rewriter = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def restart(self) -> None:
        """End the server without ado, start it anew and wait until it answers; raises ServeError.

        The settings, and so addresses and key, stay the same.
        """
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.stop()
        self.start()
        self.wait_ready()

    def _await_exit(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server has drained and ended, or can answer nothing any more.

        A model that died while it had requests is never unloaded. It would hold up the end for
        the whole exit timeout after all that lives has been drained and unloaded.
        """
        deadline = time.monotonic() + self.settings.exit_timeout_s + _END_S
        held_up_since = None
        while process.poll() is None and (now := time.monotonic()) < deadline:
            models = set(guard.processes_of(self.settings.shm_prefix)) - {process.pid}
            if models or not guard.has_dead_models(process.pid):
                held_up_since = None
            elif held_up_since is None:
                held_up_since = now
            elif now - held_up_since > _HELD_UP_S:
                return
            time.sleep(0.05)

    def __enter__(self) -> Server:
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def assemble_backends(wheel: Wheel, folder: Path) -> Path:
    """Lay out a backend directory: the wheel's Python backend with its stub, and ours over it."""
    backends = folder / "backends"
    python = backends / "python"
    python.mkdir(parents=True)
    for file in wheel.python_backend.iterdir():
        if file.is_file():
            # A copy: Triton refuses a library that a link leads out of the directory.
            shutil.copyfile(file, python / file.name)
    (python / wheel.stub.name).symlink_to(wheel.stub)
    for own in BACKENDS.iterdir():
        if (own / "model.py").exists():
            (backends / own.name).mkdir()
            (backends / own.name / "model.py").symlink_to((own / "model.py").resolve())
    return backends


@contextlib.contextmanager
def embedded_server(
    repository: Path | None = None, *, engine: str | None = None
) -> Iterator[Server]:
    """A server of one's own on free ports of this machine, for as long as the context lasts.

    Its log goes to a file that is kept, and named in the error, when it cannot start.
    """
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        repository=repository or DEFAULT_REPOSITORY,
        engine=engine,
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
    )
    descriptor, name = tempfile.mkstemp(prefix="photoreal-server-", suffix=".log")
    with os.fdopen(descriptor, "wb") as log:
        server = Server(settings, log)
        try:
            server.start()
            server.wait_ready()
        except ServeError as error:
            server.stop()
            raise ServeError(f"{error} The log is in {name}.") from error
        except BaseException:
            server.stop()
            Path(name).unlink(missing_ok=True)
            raise
        try:
            yield server
        finally:
            server.stop()
            Path(name).unlink(missing_ok=True)


def _await_end_of_group(group: int) -> None:
    """Wait a little while killed processes give their memory back."""
    deadline = time.monotonic() + _GROUP_END_S
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)


def _reachable(host: str) -> str:
    """An address at which this machine reaches a server bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
