"""Servers and requests that the parts of the benchmark share.

The request is an example pair with drawn masks of three regions (sky, trees, the rest), so that
a run needs only the model repository.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import click
import numpy as np
import torch
from pictures import EXAMPLES, PAIR, Inputs
from PIL import Image
from speed.dense import dense_networks

from photoreal import regions
from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.contract import DEFAULT_KEEP_MEMORY_S, DEFAULT_STYLE_CACHE_BYTES, WCT2, WEIGHTS_FILE
from photoreal.errors import PhotorealError, ServeError
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.pipeline.request import (
    FloatImage,
    Models,
    StyleInput,
    StylizeRequest,
    Transfer,
    TransferOptions,
    Transferred,
)
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import Limits
from photoreal.regions import LabelMap
from photoreal.serve.launch.environment import check_environment, free_ports, server_environment
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.repository import models_to_load
from photoreal.serve.launch.settings import ServeSettings
from photoreal.transfer.progressive import Engine, LabelledImage, transfer
from photoreal.weights.networks import load_bundle, load_wct2, save_bundle

KEPT_STYLE = "cached"
"""Value of "style" in a report when the style was in the cache."""

TIMEOUT_S = 900.0
LIMITS = Limits()
TUNABLES = ("GLIBC_TUNABLES", "GOMP_SPINCOUNT")
"""Environment variables of `server_tunables`."""

_REGIONS = {"blue": 0, "green": 1}
_REST = 2
_LOG_LINES = 20


class BenchmarkFailed(PhotorealError):
    """A part cannot be measured, or its result cannot be trusted."""


@dataclass(frozen=True)
class Files:
    """Encoded image files of the example pair."""

    content: bytes
    style: bytes
    content_mask: bytes
    style_mask: bytes


def example_files(name: str = PAIR) -> Files:
    """Photos of an example pair, and gray masks of its three regions."""
    pairs = {one["name"]: one for one in json.loads((EXAMPLES / "pairs.json").read_text())}
    read = {
        role: (EXAMPLES / pairs[name][role]).read_bytes()
        for role in ("content", "style", "content_mask", "style_mask")
    }
    for role in ("content_mask", "style_mask"):
        read[role] = three_regions(read[role])
    return Files(**read)


def three_regions(mask: bytes) -> bytes:
    """Convert a color mask to a gray one with three regions: sky, trees and the rest."""
    colors = list(regions.MASK_COLORS)
    merged = np.array([_REGIONS.get(color, _REST) for color in colors], dtype=np.uint8)
    with Image.open(io.BytesIO(mask)) as opened:
        labels = merged[regions.labels_from_colors(np.asarray(opened.convert("RGB")))]
    stream = io.BytesIO()
    Image.fromarray(labels).save(stream, format="PNG")
    return stream.getvalue()


def transfer_inputs(files: Files, size: int) -> Inputs:
    """The transfer inputs that the server makes from these files at a working size."""
    seen: list[Inputs] = []

    def capture(
        content: FloatImage,
        content_labels: LabelMap,
        styles: Sequence[StyleInput],
        **options: Unpack[TransferOptions],
    ) -> Transferred:
        (style,) = styles
        seen.append(Inputs(content, style.image, content_labels, style.labels, style.pairs))
        return Transferred(content)

    request = StylizeRequest(
        files.content,
        files.style,
        files.content_mask,
        files.style_mask,
        size=size,
        method="published",
    )
    stylize(request, Models(capture), LIMITS)
    return seen[0]


def in_process(engine: Engine) -> Transfer:
    """The `wct2` model as a function that runs an engine in this process."""

    def run(
        content: FloatImage,
        content_labels: LabelMap,
        styles: Sequence[StyleInput],
        **options: Unpack[TransferOptions],
    ) -> Transferred:
        (style,) = styles
        pictures = ((content, content_labels), style[:2])
        ours, theirs = (LabelledImage(torch.from_numpy(one[None]), two) for one, two in pictures)
        result = transfer(
            ours,
            theirs,
            style.pairs,
            engine,
            alpha=options["alpha"],
            places=options["places"],
            blend=options["blend"],
        )
        return Transferred(result[0].numpy())

    return run


def networks(repository: Path) -> tuple[Encoder, Decoder]:
    """The networks that the repository's server runs."""
    bundle = repository / WCT2.name / "1" / WEIGHTS_FILE
    return load_bundle(bundle) if bundle.exists() else load_wct2()


def dense_repository(repository: Path, folder: Path) -> Path:
    """Copy a repository for the local engine to a new folder, with dense weights."""
    for model in models_to_load(repository, "local"):
        shutil.copytree(repository / model, folder / model)
    save_bundle(folder / WCT2.name / "1" / WEIGHTS_FILE, *dense_networks(networks(repository)))
    return folder


def server_tunables() -> dict[str, str]:
    """Environment variables that tune a server's memory and threads.

    They take effect at process startup, so a process whose work is timed needs them as well.
    """
    environment = server_environment(check_environment(), Path(sys.executable).parent, {})
    return {name: environment[name] for name in TUNABLES if name in environment}


@contextmanager
def running_server(
    repository: Path,
    *,
    keep_styles: bool = True,
    style_cache: int = DEFAULT_STYLE_CACHE_BYTES,
    keep_memory_s: int = DEFAULT_KEEP_MEMORY_S,
) -> Iterator[Server]:
    """Run a server on free ports, with or without a style cache.

    Raises ServeError when it cannot start; the end of its log is then on standard error.
    """
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        repository,
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        style_cache=style_cache if keep_styles else 0,
        keep_memory_s=keep_memory_s,
    )
    with tempfile.TemporaryFile() as log, ExitStack() as stack:
        try:
            server = stack.enter_context(Server(settings, log))
        except ServeError:
            log.seek(0)
            click.echo(b"".join(log.readlines()[-_LOG_LINES:]), err=True)
            raise
        yield server


def server_version(server: Server) -> str:
    """The version that a running server reports."""
    with urllib.request.urlopen(f"http://{server.http_url}/v2", timeout=10) as answer:
        return str(json.load(answer)["version"])


def timed_request(server: Server, files: Files, size: int) -> tuple[float, StylizeResult]:
    """Time one request over HTTP, files in and files out; return seconds and result."""
    with StyleTransferClient(server.http_url, timeout=TIMEOUT_S) as client:
        started = time.perf_counter()
        result = client.stylize(
            files.content,
            files.style,
            content_mask=files.content_mask,
            style_mask=files.style_mask,
            size=size,
        )
        return time.perf_counter() - started, result


def knows_style(result: StylizeResult) -> bool:
    """Whether the server had the request's style in its cache."""
    return result.report.get("style") == KEPT_STYLE
