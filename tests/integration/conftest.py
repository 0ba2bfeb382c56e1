"""Real servers on a repository made for these tests, and ways to call them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
import torch
import tritonclient.grpc
import tritonclient.http
from filelock import FileLock
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from serving import running_server
from torch import nn
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.client.address import Protocol
from photoreal.contract import SEGMENTER, ModelSpec
from photoreal.export import ExportSettings, export_repository
from photoreal.export.onnx import export_onnx
from photoreal.networks.segmenter import Segmenter
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.weights.manifest import SEGMENTER_FILES
from tests.kinds import Arrays, Call, PairFiles, Stylize, TempFolders
from tests.shared import check_sentence, encoded, photo, wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPORTED = Path(__file__).parents[2] / "model_repository"
CLASSES = ("other", "sky", "vegetation", "building", "water")
PROGRAM = Path(sys.executable).with_name("photoreal")
PROTOCOLS = ("http", "grpc")
PREFIX = "shm-region-prefix-name="
BAD_REQUEST = {"http": "400", "grpc": "StatusCode.INVALID_ARGUMENT"}


@pytest.fixture(scope="session")
def pair() -> PairFiles:
    """Gives an example pair's files by the names of the client's arguments."""
    pairs = {
        entry.pop("name"): entry for entry in json.loads((EXAMPLES / "pairs.json").read_text())
    }

    def files(name: str) -> dict[str, Any]:
        return {role: EXAMPLES / file for role, file in pairs[name].items()}

    return files


@pytest.fixture(scope="session")
def segmenter_folder(tmp_path_factory: TempFolders) -> Path:
    """A small segmenter under the published file names; each class has its share of pixels."""
    torch.manual_seed(0)
    segmenter = Segmenter(8, len(CLASSES))
    files = ("photos/china.jpg", "photos/rocket.jpg", "rendered/dusk.jpg", "rendered/noon.jpg")
    pictures = [np.asarray(Image.open(EXAMPLES / file).resize((128, 96))) for file in files]
    photos = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the running statistics become those of the next batch
    with torch.no_grad():
        segmenter.train()(photos)
        scores = segmenter.eval()(photos)
        last = segmenter.decoder.conv_last.get_submodule("4")
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        mean, deviation = scores.mean((0, 2, 3)), scores.std((0, 2, 3))
        last.weight.div_(deviation.view(-1, 1, 1, 1))
        last.bias.sub_(mean).div_(deviation)
    folder = tmp_path_factory.mktemp("segmenter")
    for network, name in zip((segmenter.encoder, segmenter.decoder), SEGMENTER_FILES, strict=True):
        torch.save(network.state_dict(), folder / name)
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    return folder


def _take_exported(module: nn.Module, spec: ModelSpec, path: Path, precision: str) -> None:
    """Copy a level of WCT2 from the export of `make test`, which the exporter then checks."""
    exported = EXPORTED / spec.name / "1" / path.name
    if spec.name != SEGMENTER.name and exported.exists():
        shutil.copy(exported, path)
    else:
        export_onnx(module, spec, path, precision)


@pytest.fixture(scope="session")
def repository(
    segmenter_folder: Path, tmp_path_factory: TempFolders, testrun_uid: str, worker_id: str
) -> Path:
    """A repository with every model, as `photoreal export` makes it; the same for all workers."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder = shared / f"repository-{testrun_uid}"
    with FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        if not folder.exists():
            patch.setattr("photoreal.export.repository.export_onnx", _take_exported)
            settings = ExportSettings(shared / "exporting", segmenter=str(segmenter_folder))
            export_repository(settings, print)
            settings.repository.rename(folder)
    return folder


@pytest.fixture(scope="session")
def bare_repository(repository: Path, tmp_path_factory: TempFolders) -> Path:
    """The repository without any exported network: no segmenter and no levels for "bls"."""
    folder = tmp_path_factory.mktemp("bare") / "repository"
    ignore = shutil.ignore_patterns("*.onnx", "labels.txt", "__pycache__")
    return Path(shutil.copytree(repository, folder, ignore=ignore))


def url_of(server: Server, protocol: str) -> str:
    """The address of a server's endpoint."""
    return server.grpc_url if protocol == "grpc" else server.http_url


def metric(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's values that have these labels."""
    with urllib.request.urlopen(server.metrics_url) as response:  # noqa: S310 (our own server)
        families = text_string_to_metric_families(response.read().decode())
    samples = (one for family in families for one in family.samples if one.name == name)
    return sum(one.value for one in samples if labels.items() <= one.labels.items())


@contextmanager
def quiet_server(repository: Path, engine: str = "local", **settings: Any) -> Iterator[Server]:
    """A server without a traceback in its log: what tests send is good, or the caller's mistake."""
    with tempfile.TemporaryFile() as log:
        with running_server(repository, log, engine=engine, **settings) as server:
            yield server
        log.seek(0)
        words = log.read().decode()
    assert "Traceback" not in words, words


@pytest.fixture(scope="session")
def local(repository: Path) -> Iterator[Server]:
    """A server whose networks run inside `wct2`."""
    with quiet_server(repository) as server:
        yield server


@pytest.fixture(scope="session")
def bls(repository: Path) -> Iterator[Server]:
    """A server whose networks are models of their own."""
    with quiet_server(repository, "bls") as server:
        yield server


def photoreal(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def server_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Process id of the tritonserver that a command runs, and the prefix of its shared memory."""

    def found() -> list[tuple[int, str]]:
        children = psutil.Process(process.pid).children()
        words = ((child.pid, word) for child in children for word in child.cmdline())
        return [(pid, word.partition(PREFIX)[2]) for pid, word in words if PREFIX in word]

    return wait_until(found, 30)[0]


def check_refusal(
    done: subprocess.CompletedProcess[str], code: int, words: str, folder: Path
) -> None:
    """Assert that a call ended with a sentence, and wrote nothing into its folder."""
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


@contextmanager
def running_web(
    log_file: Path, *options: object, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A `photoreal web` and its address; the port is a free one."""
    (port,) = free_ports("127.0.0.1", 1)
    call = [str(PROGRAM), "web", *map(str, options), "--port", str(port)]
    variables = {**os.environ, **environment}
    with (
        log_file.open("wb") as log,
        subprocess.Popen(call, env=variables, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"Ready.\n", log_file.read_text()
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def gateway(local: Server, tmp_path_factory: TempFolders) -> Iterator[str]:
    """Address of a `photoreal web` before that server."""
    log_file = tmp_path_factory.mktemp("gateway") / "log"
    with running_web(log_file, "--url", local.http_url) as (process, url):
        yield url
    assert process.returncode == 0
    assert log_file.read_text() == "Stopped.\n"


@pytest.fixture(scope="session")
def stylize() -> Stylize:
    """Stylizes with the project's client; with the label maps, unless `labels` says otherwise."""

    def run(server: Server, protocol: Protocol = "http", **arguments: Any) -> StylizeResult:
        with StyleTransferClient(url_of(server, protocol), protocol=protocol) as client:
            return client.stylize(**{"labels": True} | arguments)

    return run


@pytest.fixture(scope="session")
def tensors() -> Call:
    """Makes the inputs of `stylize` from values, by names in lower case."""
    dtypes: dict[str, npt.DTypeLike] = {
        "ALPHA": np.float32,
        "SIZE": np.int32,
        "BLEND": np.int32,
        "SEGMENT": np.bool_,
    }

    def make(**values: Any) -> Arrays:
        arrays = {}
        for key, value in values.items():
            name = key.upper()
            data = value.encode() if isinstance(value, str) else value
            arrays[name] = np.array([data], dtype=dtypes.get(name, np.object_))
        return arrays

    return make


@pytest.fixture(scope="session")
def call() -> Call:
    """Calls a model with NVIDIA's client and returns all of its outputs."""

    def infer(server: Server, model: str, inputs: Arrays, protocol: str = "http") -> Arrays:
        binding = tritonclient.grpc if protocol == "grpc" else tritonclient.http
        sent = []
        for name, array in inputs.items():
            sent.append(binding.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
            sent[-1].set_data_from_numpy(array)
        with binding.InferenceServerClient(url_of(server, protocol)) as client:
            result = client.infer(model, sent)
        response = result.get_response()
        if protocol == "http":
            names = [output["name"] for output in response["outputs"]]
        else:
            names = [output.name for output in response.outputs]
        return {name: result.as_numpy(name) for name in names}

    return infer


@pytest.fixture(scope="session")
def check_alive(call: Call, tensors: Call) -> Callable[[Server], None]:
    """Asserts that a server answers a small good request with a picture."""
    good = encoded(photo(16, 16))

    def check(server: Server) -> None:
        outputs = call(server, "stylize", tensors(content=good, style=good, size=16, segment=False))
        assert outputs["IMAGE"].item().startswith(b"\x89PNG")

    return check


@pytest.fixture(scope="session")
def refused(call: Call, check_alive: Callable[[Server], None]) -> Callable[..., str]:
    """Asserts that a model refuses a request as the caller's mistake, and that the server goes on.

    The status is 400 over HTTP and INVALID_ARGUMENT over gRPC; the sentence, the same over
    both, is returned.
    """

    def check(server: Server, model: str, inputs: Arrays) -> str:
        sentences = set()
        for protocol in PROTOCOLS:
            with pytest.raises(InferenceServerException) as caught:
                call(server, model, inputs, protocol)
            assert caught.value.status() == BAD_REQUEST[protocol], caught.value
            check_sentence(caught.value.message())
            assert ".py" not in caught.value.message()
            sentences.add(caught.value.message())
        check_alive(server)
        assert len(sentences) == 1
        return str(sentences.pop())

    return check
