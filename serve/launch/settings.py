"""How a server is to run, and the tritonserver command that follows from it."""

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
SHM_BYTES = 64 * 1024**2
"""Shared memory of each Python model at the start, which a default request fits. It takes memory
only as it is used. With Triton's own 1 MiB it grows, and is mapped again, in the first requests."""


@dataclass(frozen=True)
class ServeSettings:
    """How to serve; `engine` None leaves the choice to the repository's config.

    So do `device` and `precision`, where and how the local engine runs its networks. `gpu` is the
    number of the one GPU that the models see; None leaves them the first of all.
    `style_cache` is how many bytes known styles may take; 0 keeps none. `limits` are environment
    variables as `photoreal.serve.backend.limits` lists them, in place of this process's own.
    `triton` is the folder of an installed Triton, such as a container's; None takes the wheel's.
    `start_timeout_s` is how long models may take to load, `exit_timeout_s` how long a server that
    is told to stop waits for requests in flight; for as long, a client's idle connection holds it
    up.
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
        """The three ports by name."""
        return {"http": self.http_port, "grpc": self.grpc_port, "metrics": self.metrics_port}


def command_line(
    settings: ServeSettings, binary: Path, backends: Path, models: list[str], gpu_pool: int = 0
) -> list[str]:
    """The tritonserver command for these settings.

    Only what is needed is loaded, and management needs a key: a load call may carry code. Triton
    takes keys from its command line alone, which every user of the machine can read; the launcher
    starts it so that they are not shown there (`photoreal.serve.launch.hidden_arguments`).

    `gpu_pool` is how many bytes of the first GPU are for what models hand each other; 0 is for
    models that have nothing there.
    """
    host, grpc_host = settings.host, settings.host
    if ":" in host:  # IPv6, as Triton's HTTP server and gRPC each want it written
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
        f"--backend-config=python,shm-default-byte-size={SHM_BYTES}",
        f"--exit-timeout-secs={settings.exit_timeout_s}",
        *([f"--cuda-memory-pool-byte-size=0:{gpu_pool}"] if gpu_pool else []),
    ]
    return arguments if settings.verbose else [*arguments, "--log-info=false"]


def hide_keys(command: list[str]) -> list[str]:
    """A command of `command_line` that can be shown."""
    return [re.sub(r"^(--(?:http|grpc)-restricted-.*-key=).*", r"\1***", one) for one in command]
