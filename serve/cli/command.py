"""The `photoreal serve` command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from photoreal.contract import (
    DEFAULT_EXIT_TIMEOUT_S,
    DEFAULT_KEEP_MEMORY_S,
    DEFAULT_STYLE_CACHE_BYTES,
    DEVICE_VARIABLE,
    DEVICES,
    ENGINES,
    GRPC_PORT,
    HEALTH_PORT,
    HTTP_PORT,
    KEEP_MEMORY_VARIABLE,
    METRICS_PORT,
    PRECISION_VARIABLE,
    PRECISIONS,
    STYLE_CACHE_VARIABLE,
)
from photoreal.interrupt import interrupt_on_signals
from photoreal.serve.cli.insight_options import insight_options, log_to, printers
from photoreal.serve.cli.limit_options import limit_options
from photoreal.serve.cli.security_options import security_options
from photoreal.serve.launch.insight import Insight
from photoreal.serve.launch.installation import TRITON_VARIABLE
from photoreal.serve.launch.security import Security
from photoreal.serve.launch.settings import DEFAULT_REPOSITORY, READY_TIMEOUT_S, ServeSettings


@click.command()
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_REPOSITORY,
    show_default=True,
    help="Model repository, created by `photoreal export`.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Run WCT2's networks in one process (local) or as models of the server (bls)."
    " Default: as in the repository's config.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    envvar=DEVICE_VARIABLE,
    help="Device of the local engine. Default: as in the repository's config, else cpu.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    envvar=PRECISION_VARIABLE,
    help="Precision of the local engine's networks; statistics are always in fp32. Default: fp16 on"
    " cuda, fp32 on cpu.",
)
@click.option(
    "--gpu",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    help="Index of the GPU, as in nvidia-smi. Default: the first. For several GPUs, run several"
    " servers, each with its own ports.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--http-port", default=HTTP_PORT, show_default=True, type=int)
@click.option("--grpc-port", default=GRPC_PORT, show_default=True, type=int)
@click.option("--metrics-port", default=METRICS_PORT, show_default=True, type=int)
@click.option(
    "--health-port",
    default=HEALTH_PORT,
    show_default=True,
    type=int,
    help="Port of /live, /ready and the supervisor's /metrics; 0 disables it.",
)
@click.option(
    "--canary-interval",
    type=click.FloatRange(min=0.5),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Interval between small test requests to an idle server.",
)
@click.option(
    "--hang-timeout",
    type=click.FloatRange(min=1.0),
    default=4.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the models may use no CPU time while a request is pending.",
)
@click.option(
    "--restart-limit",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Maximum number of restarts within five minutes; the next failure ends the command.",
)
@click.option(
    "--restart-delay",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Maximum back-off before a restart; it starts at 1 s and doubles.",
)
@click.option(
    "--style-cache",
    type=click.IntRange(min=0),
    envvar=STYLE_CACHE_VARIABLE,
    default=DEFAULT_STYLE_CACHE_BYTES,
    show_default=True,
    metavar="BYTES",
    help="Size of the style cache, which halves the time of requests with a known style; 0 disables"
    " it.",
)
@click.option(
    "--keep-memory",
    type=click.IntRange(min=0),
    envvar=KEEP_MEMORY_VARIABLE,
    default=DEFAULT_KEEP_MEMORY_S,
    show_default=True,
    metavar="SECONDS",
    help="How long up to 1 GiB of freed memory is kept to make the next request faster.",
)
@click.option(
    "--presets",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of style photos to measure at startup, so that their first use is fast, and of"
    " files of `photoreal preset`. NAME_mask.png is the mask of NAME.jpg.",
)
@limit_options
@click.option(
    "--exit-timeout",
    type=click.IntRange(min=0),
    default=DEFAULT_EXIT_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="Shutdown timeout: how long to wait for requests in flight and open connections.",
)
@click.option(
    "--start-timeout",
    type=click.FloatRange(min=1),
    default=READY_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long the models may take to load; TensorRT may build its engines at startup.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path, file_okay=False),
    envvar=TRITON_VARIABLE,
    help="Folder of an installed Triton, such as /opt/tritonserver in NVIDIA's container. Default:"
    " the wheel's.",
)
@click.option("--verbose", is_flag=True, help="Show the complete log of the server.")
@click.option(
    "--print-command", is_flag=True, help="Print the command line of tritonserver and exit."
)
@security_options
@insight_options
def serve(
    repository: Path,
    engine: str | None,
    device: str | None,
    precision: str | None,
    gpu: int | None,
    host: str,
    http_port: int,
    grpc_port: int,
    metrics_port: int,
    health_port: int,
    canary_interval: float,
    hang_timeout: float,
    restart_limit: int,
    restart_delay: float,
    style_cache: int,
    keep_memory: int,
    presets: Path | None,
    exit_timeout: int,
    start_timeout: float,
    triton: Path | None,
    verbose: bool,
    limits: Mapping[str, str],
    security: Security,
    insight: Insight,
    print_command: bool,
) -> None:
    """Run a Triton server with the style transfer models until Ctrl-C.

    By default it is reachable from this machine only (--host). With PHOTOREAL_API_KEY in the
    environment, inference requires that key; PHOTOREAL_ADMIN_KEY is the key of the management
    endpoints, by default a random one. Models that die or hang are reloaded; if that does not help,
    the server is restarted. Exit code 1: the server could not start or failed too often.
    """
    from contextlib import ExitStack

    from photoreal.client import StyleTransferClient
    from photoreal.client.warm import find_presets, warm_styles
    from photoreal.serve.launch.environment import check_ports
    from photoreal.serve.launch.launcher import Server
    from photoreal.serve.supervise.health import HealthServer, Status
    from photoreal.serve.supervise.liveness import LivenessSettings
    from photoreal.serve.supervise.restarts import RestartLimits
    from photoreal.serve.supervise.supervisor import Supervisor, SupervisorSettings

    interrupt_on_signals()
    settings = ServeSettings(
        repository,
        engine,
        host,
        http_port,
        grpc_port,
        metrics_port,
        verbose,
        style_cache,
        keep_memory,
        limits=limits,
        security=security,
        insight=insight,
        triton=triton,
        exit_timeout_s=exit_timeout,
        start_timeout_s=start_timeout,
        device=device,
        precision=precision,
        gpu=gpu,
    )
    if print_command:
        click.echo(shlex.join(Server(settings).command()))
        return
    report, show = printers(insight)
    styles = find_presets(presets) if presets is not None else []
    supervision = SupervisorSettings(
        LivenessSettings(canary_interval_s=canary_interval, hang_timeout_s=hang_timeout),
        RestartLimits(restart_limit, longest_delay_s=restart_delay),
    )
    log_to(insight)
    server, status = Server(settings), Status()

    def warm_presets() -> None:
        with StyleTransferClient(server.http_url, api_key=security.api_key) as client:
            warm_styles(client, styles, show)

    try:
        with ExitStack() as stack:
            if health_port:
                check_ports(host, {**settings.ports(), "health": health_port})
                stack.enter_context(HealthServer(host, health_port, status))
            if warning := security.warning(host):
                report(warning)
            report("Starting Triton ...")
            stack.enter_context(server)
            stack.callback(status.stopping)
            show(f"Ready.\n  HTTP     {server.http_url}\n  gRPC     {server.grpc_url}")
            show(f"  metrics  {server.metrics_url}")
            if health_port:
                show(f"  health   http://{server.address(health_port)}/ready")
            show("Ctrl-C stops the server.")
            if styles:
                warm_presets()
            refill = warm_presets if styles else None
            Supervisor(server, supervision, status, refill).run()
    except KeyboardInterrupt:
        report("Stopped.")
