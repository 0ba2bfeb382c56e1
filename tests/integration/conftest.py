"""Real servers on a repository made for these tests, and ways to call them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import tritonclient.grpc
import tritonclient.http
from PIL import Image
from speed import memory
from torch import nn
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.errors import ServeError
from photoreal.export import ExportSettings, export_repository
from photoreal.networks.segmenter import Segmenter
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.launch.launcher import Server
from photoreal.serve.launch.settings import ServeSettings
from photoreal.weights.manifest import SEGMENTER_FILES

Arrays = dict[str, npt.NDArray[Any]]

EXAMPLES = Path(__file__).parents[2] / "examples"
CLASSES = ("other", "sky", "vegetation", "building", "water")
PROTOCOLS = ("http", "grpc")
BAD_REQUEST = {"http": "400", "grpc": "StatusCode.INVALID_ARGUMENT"}


@pytest.fixture(scope="session")
def pair() -> Callable[[str], dict[str, Any]]:
    """Gives an example pair's files by the names of the client's arguments."""
    pairs = {
        entry.pop("name"): entry for entry in json.loads((EXAMPLES / "pairs.json").read_text())
    }

    def files(name: str) -> dict[str, Any]:
        return {role: EXAMPLES / file for role, file in pairs[name].items()}

    return files


@pytest.fixture(scope="session")
def segmenter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


@pytest.fixture(scope="session")
def repository(segmenter_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with every model, as `photoreal export` makes it."""
    folder = tmp_path_factory.mktemp("repository")
    export_repository(ExportSettings(folder, segmenter=str(segmenter_folder)), print)
    return folder


@pytest.fixture(scope="session")
def bare_repository(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository without any exported network: no segmenter and no levels for "bls"."""
    folder = tmp_path_factory.mktemp("bare") / "repository"
    ignore = shutil.ignore_patterns("*.onnx", "labels.txt", "__pycache__")
    return Path(shutil.copytree(repository, folder, ignore=ignore))


@contextmanager
def _running(repository: Path, engine: str, log_file: Path) -> Iterator[Server]:
    http, grpc, metrics = free_ports("127.0.0.1", 3)
    settings = ServeSettings(
        repository, engine, http_port=http, grpc_port=grpc, metrics_port=metrics
    )
    with log_file.open("wb") as log:
        server = Server(settings, log)
        try:
            server.__enter__()
        except ServeError as error:
            raise AssertionError(f"{error}\n{log_file.read_text()}") from error
        try:
            yield server
        finally:
            server.stop()
    # Whatever the tests sent was a good request or the caller's own mistake.
    assert "Traceback" not in log_file.read_text(), log_file.read_text()


@pytest.fixture(scope="session")
def local(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose networks run inside `wct2`."""
    with _running(repository, "local", tmp_path_factory.mktemp("local") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def bls(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose networks are models of their own."""
    with _running(repository, "bls", tmp_path_factory.mktemp("bls") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def gateway(local: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a `photoreal web` before that server."""
    (port,) = free_ports("127.0.0.1", 1)
    log_file = tmp_path_factory.mktemp("gateway") / "log"
    program = Path(sys.executable).with_name("photoreal")
    where = "--url", local.http_url, "--port", str(port)
    with log_file.open("wb") as log:
        process = subprocess.Popen([program, "web", *where], stdout=subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"Ready.\n", log_file.read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0
    assert log_file.read_text() == "Stopped.\n"


@pytest.fixture(scope="session")
def stylize() -> Callable[..., StylizeResult]:
    """Stylizes with the project's client."""

    def run(server: Server, protocol: str = "http", **arguments: Any) -> StylizeResult:
        if protocol == "grpc":
            with StyleTransferClient(server.grpc_url, protocol="grpc") as client:
                return client.stylize(**arguments)
        with StyleTransferClient(server.http_url) as client:
            return client.stylize(**arguments)

    return run


@pytest.fixture(scope="session")
def tensors() -> Callable[..., Arrays]:
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
def call() -> Callable[..., Arrays]:
    """Calls a model with NVIDIA's client and returns all of its outputs."""

    def infer(server: Server, model: str, inputs: Arrays, protocol: str = "http") -> Arrays:
        binding = tritonclient.grpc if protocol == "grpc" else tritonclient.http
        url = server.grpc_url if protocol == "grpc" else server.http_url
        sent = []
        for name, array in inputs.items():
            sent.append(binding.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
            sent[-1].set_data_from_numpy(array)
        with binding.InferenceServerClient(url) as client:
            result = client.infer(model, sent)
        response = result.get_response()
        if protocol == "http":
            names = [output["name"] for output in response["outputs"]]
        else:
            names = [output.name for output in response.outputs]
        return {name: result.as_numpy(name) for name in names}

    return infer


@pytest.fixture(scope="session")
def check_alive(
    call: Callable[..., Arrays],
    tensors: Callable[..., Arrays],
    encoded: Callable[..., bytes],
    photo: Callable[..., npt.NDArray[np.uint8]],
) -> Callable[[Server], None]:
    """Asserts that a server answers a small good request with a picture."""
    good = encoded(photo(16, 16))

    def check(server: Server) -> None:
        outputs = call(server, "stylize", tensors(content=good, style=good, size=16, segment=False))
        assert outputs["IMAGE"].item().startswith(b"\x89PNG")

    return check


@pytest.fixture(scope="session")
def refused(
    call: Callable[..., Arrays],
    check_sentence: Callable[[object], None],
    check_alive: Callable[[Server], None],
) -> Callable[..., str]:
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


@pytest.fixture(scope="session")
def session_processes() -> Callable[[int], set[int]]:
    """Lists the processes of a session: those of a server are in the one that it leads."""
    return memory.session_processes
