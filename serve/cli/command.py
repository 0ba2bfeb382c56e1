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
from photoreal.serve.cli.insight_options import insight_options, log_to, narrators
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
    help="Model repository, as `photoreal export` fills it.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="Run WCT2's networks in one process (local) or as models of the server (bls)."
    " Default: as the repository's config says.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    envvar=DEVICE_VARIABLE,
    help="Where the local engine runs its networks. Default: as the repository's config says, or"
    " cpu.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    envvar=PRECISION_VARIABLE,
    help="Of the networks there; statistics are always in fp32. Default: fp16 on cuda, fp32 on"
    " the cpu.",
)
@click.option(
    "--gpu",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    help="The GPU to use, as nvidia-smi counts them. Default: the first. More GPUs are more"
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
    help="Where /live, /ready and the supervisor's /metrics are; 0 turns it off.",
)
@click.option(
    "--canary-interval",
    type=click.FloatRange(min=0.5),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often a server without work is tried with a small request.",
)
@click.option(
    "--hang-timeout",
    type=click.FloatRange(min=1.0),
    default=4.0,
    show_default=True,
    metavar="SECONDS",
    help="How long models may do nothing while an answer is owed.",
)
@click.option(
    "--restart-limit",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Failures within five minutes that are put right; at the next one the command ends.",
)
@click.option(
    "--restart-delay",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait before a restart; waits double from 1 s.",
)
@click.option(
    "--style-cache",
    type=click.IntRange(min=0),
    envvar=STYLE_CACHE_VARIABLE,
    default=DEFAULT_STYLE_CACHE_BYTES,
    show_default=True,
    metavar="BYTES",
    help="Memory for styles seen before, which then cost half as much; 0 keeps none.",
)
@click.option(
    "--keep-memory",
    type=click.IntRange(min=0),
    envvar=KEEP_MEMORY_VARIABLE,
    default=DEFAULT_KEEP_MEMORY_S,
    show_default=True,
    metavar="SECONDS",
    help="How long freed memory, up to 1 GiB, waits for the next request, which is faster for it.",
)
@click.option(
    "--presets",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of style photos to measure at the start, so that their first use is fast, and of"
    " files of `photoreal preset`. A NAME_mask.png beside NAME.jpg is its mask.",
)
@limit_options
@click.option(
    "--exit-timeout",
    type=click.IntRange(min=0),
    default=DEFAULT_EXIT_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="When told to stop, wait so long for requests in flight and for open connections.",
)
@click.option(
    "--start-timeout",
    type=click.FloatRange(min=1),
    default=READY_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long the models may take to load; TensorRT may build its engines then.",
)
@click.option(
    "--triton",
    type=click.Path(path_type=Path, file_okay=False),
    envvar=TRITON_VARIABLE,
    help="Folder of an installed Triton, as /opt/tritonserver in NVIDIA's container. Default: the"
    " wheel's.",
)
@click.option("--verbose", is_flag=True, help="Show all of the server's log.")
@click.option(
    "--print-command", is_flag=True, help="Print tritonserver's command line and run nothing."
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

    It is reachable from this machine only unless --host says otherwise. With PHOTOREAL_API_KEY in
    the environment, inference asks for that key; PHOTOREAL_ADMIN_KEY is the key of the management
    endpoints, which is made up unless given. Models that die or hang are brought back, and failing
    that the server is restarted. Exit code 1: it could not start, or failed too often.
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
    tell, show = narrators(insight)
    styles = find_presets(presets) if presets is not None else []
    supervision = SupervisorSettings(
        LivenessSettings(canary_interval_s=canary_interval, hang_timeout_s=hang_timeout),
        RestartLimits(restart_limit, longest_delay_s=restart_delay),
    )
    log_to(insight)
    server, status = Server(settings), Status()

    def measure_presets() -> None:
        with StyleTransferClient(server.http_url, api_key=security.api_key) as client:
            warm_styles(client, styles, show)

    try:
        with ExitStack() as stack:
            if health_port:
                check_ports(host, {**settings.ports(), "health": health_port})
                stack.enter_context(HealthServer(host, health_port, status))
            if warning := security.warning(host):
                tell(warning)
            tell("Starting Triton ...")
            stack.enter_context(server)
            stack.callback(status.stopping)
            show(f"Ready.\n  HTTP     {server.http_url}\n  gRPC     {server.grpc_url}")
            show(f"  metrics  {server.metrics_url}")
            if health_port:
                show(f"  health   http://{server.address(health_port)}/ready")
            show("Ctrl-C stops the server.")
            if styles:
                measure_presets()
            refill = measure_presets if styles else None
            Supervisor(server, supervision, status, refill).run()
    except KeyboardInterrupt:
        tell("Stopped.")
