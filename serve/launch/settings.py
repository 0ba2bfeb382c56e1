"""Settings of a server, and the tritonserver command line that they result in."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from photoreal import contract
from photoreal.serve.launch import watchdog
from photoreal.serve.launch.insight import Insight
from photoreal.serve.launch.security import Security, admin_key

DEFAULT_REPOSITORY = Path("model_repository")
READY_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class ServeSettings:
    """Settings of a server; `engine` None uses the engine in the repository's config.

    `device` and `precision` of the local engine also default to the config. `gpu` is the number of
    the only GPU that the models see; None leaves all visible, and they use the first.
    `style_cache` is the size of the style cache in bytes; 0 disables it. `keep_memory_s` is how
    long freed memory is kept without a request. `limits` are environment variables as
    `photoreal.serve.backend.limits` lists them, which override this process's own. `triton` is the
    folder of an installed Triton, such as a container's; None uses the wheel's. `start_timeout_s`
    is how long models may take to load. `exit_timeout_s` is how long a server that is told to stop
    waits for requests in flight; an idle client connection delays the exit for as long.
    """

    repository: Path = DEFAULT_REPOSITORY
    engine: str | None = None
    host: str = "127.0.0.1"
    http_port: int = contract.HTTP_PORT
    grpc_port: int = contract.GRPC_PORT
    metrics_port: int = contract.METRICS_PORT
    verbose: bool = False
    style_cache: int = contract.DEFAULT_STYLE_CACHE_BYTES
    keep_memory_s: int = contract.DEFAULT_KEEP_MEMORY_S
    exit_timeout_s: int = contract.DEFAULT_EXIT_TIMEOUT_S
    limits: Mapping[str, str] = field(default_factory=dict)
    admin_key: str = field(default_factory=admin_key, repr=False)
    security: Security = field(default_factory=Security)
    insight: Insight = field(default_factory=Insight)
    shm_prefix: str = field(default_factory=lambda: f"{watchdog.PREFIX}{secrets.token_hex(6)}_")
    triton: Path | None = None
    start_timeout_s: float = READY_TIMEOUT_S
    device: str | None = None
    precision: str | None = None
    gpu: int | None = None

    def ports(self) -> dict[str, int]:
        """The HTTP, gRPC and metrics ports, by name."""
        return {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}


def command_line(
    settings: ServeSettings, binary: Path, backends: Path, models: list[str], gpu_pool: int = 0
) -> list[str]:
    """Return the tritonserver command for these settings.

    Only the needed models are loaded, and management requires a key: a model load request may carry
    code. Triton accepts keys only on its command line, which every user of the machine can read;
    the launcher hides them there (`photoreal.serve.launch.hidden_arguments`).

    `gpu_pool` is the size in bytes of the memory pool on the first GPU, for tensors that models
    pass to each other; 0 is for models that do not use it.
    """
    host, grpc_host = settings.host, settings.host
    if ":" in host:  # IPv6, in the notations of Triton's HTTP server and of gRPC
        host, grpc_host = f"ipv6:{host}", f"[{host}]"
    arguments = [
        str(binary),
        f"--model-repository={settings.repository.resolve()}",
        f"--backend-directory={backends}",
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in models),
        "--disable-auto-complete-config",
        f"--http-address={host}",
        f"--grpc-address={grpc_host}",
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
    """Mask the keys in a command of `command_line`."""
    return [re.sub(r"^(--(?:http|grpc)-restricted-.*-key=).*", r"\1***", one) for one in command]
