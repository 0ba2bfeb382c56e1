"""Reading checkpoints safely and saying what does not fit."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from photoreal.errors import WeightsError
from photoreal.networks.vgg import Encoder
from photoreal.weights.checkpoint import load_parameters, read_checkpoint
from tests.reference_cases import seeded_state

State = dict[str, Tensor]
STATE = {"weight": torch.rand(3, 4), "bias": torch.rand(3)}


class RunsCode:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self._folder,))


@pytest.fixture
def parameters() -> State:
    """A published encoder file's content, which a test may change."""
    return seeded_state("wave_encoder_cat5_l4.pth")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.pth"


def _saved(content: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_saved_state_dict_is_read_back(zipped: bool, file: Path) -> None:
    file.write_bytes(_saved(STATE, zipped=zipped))
    found = read_checkpoint(file)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(WeightsError, match=r"file\.pth is missing"):
        read_checkpoint(file)


def _plain_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    return stream.getvalue()


LEGACY = _saved(STATE, zipped=False)
NO_CHECKPOINTS = {
    "empty": b"",
    "a web page": b"<html><body>404: not found</body></html>\n",
    "text": b"hello world, this is no checkpoint\n" * 10,
    "bytes": bytes(range(256)),
    "another zip": _plain_zip(),
    "truncated": _saved(STATE)[:-200],
    **{f"legacy up to {n}": LEGACY[:n] for n in (5, 25, 60, 100, 150, 200, 250, 300, 350, 400)},
}


@pytest.mark.parametrize("data", NO_CHECKPOINTS.values(), ids=NO_CHECKPOINTS)
def test_a_file_that_is_not_a_checkpoint_is_refused(data: bytes, file: Path) -> None:
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"file\.pth is not a checkpoint .*torch\.save"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    "content",
    [
        [torch.rand(2)],
        torch.rand(2),
        {"state_dict": {"weight": torch.rand(2)}},
        {1: torch.rand(2)},
        {"weight": [1.0, 2.0]},
        3,
    ],
    ids=["list", "tensor", "nested", "unnamed", "no tensor", "number"],
)
def test_a_checkpoint_of_something_else_is_refused(content: object, file: Path) -> None:
    file.write_bytes(_saved(content))
    with pytest.raises(WeightsError, match="contains no state dict"):
        read_checkpoint(file)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(kind: str, file: Path) -> None:
    made = file.with_name("made")
    content = {"weight": RunsCode(made)}
    pickled = pickle.dumps(content, protocol=2)
    file.write_bytes(pickled if kind == "pickle" else _saved(content, zipped=kind == "zip"))
    with pytest.raises(WeightsError, match="not a checkpoint that can be loaded safely"):
        read_checkpoint(file)
    assert not made.exists()


def test_published_entries_fit_with_and_without_the_filters_and_in_half_precision(
    parameters: State,
) -> None:
    learned = {name: value for name, value in parameters.items() if name.count(".") == 1}
    assert learned.keys() < parameters.keys()
    for given in (parameters, learned, {name: one.half() for name, one in parameters.items()}):
        network = Encoder()
        load_parameters(network, given, "file")
        for name, value in network.state_dict().items():
            assert torch.equal(value, given[name].float())


def _spoil(value: float) -> Callable[[State], None]:
    def change(parameters: State) -> None:
        parameters["conv2_1.bias"][5] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.pop("conv2_1.bias"), "conv2_1.bias is missing"),
        (
            lambda p: p.update({"conv3_1.weight": torch.zeros(256, 64, 3, 3)}),
            "conv3_1.weight is 256x64x3x3, expected 256x128x3x3",
        ),
        (lambda p: p.update(extra=torch.zeros(1)), "extra is not known"),
        (_spoil(float("nan")), "conv2_1.bias holds values that are not finite"),
        (_spoil(float("-inf")), "conv2_1.bias holds values that are not finite"),
        (
            lambda p: p.update({"pool2.LH.weight": p["pool2.HL.weight"]}),
            "pool2.LH.weight is no Haar filter",
        ),
        (
            lambda p: p.update({"pool2.LH.weight": torch.zeros(128, 1, 3, 3)}),
            "pool2.LH.weight is no Haar filter",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    change: Callable[[State], object], words: str, parameters: State
) -> None:
    change(parameters)
    network = Encoder()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError) as no:
        load_parameters(network, parameters, "wave.pth")
    assert str(no.value) == f"wave.pth does not fit the network: {words}."
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_many_problems_are_counted_rather_than_listed() -> None:
    network = nn.Sequential(*(nn.Linear(2, 2) for _ in range(5)))
    with pytest.raises(WeightsError, match=r"0\.bias is missing; .*, and 6 more\.") as no:
        load_parameters(network, {}, "file")
    assert str(no.value).count("is missing") == 4


def test_double_precision_is_converted(file: Path) -> None:
    network = nn.Linear(3, 2)
    given = {name: torch.rand_like(value).double() for name, value in network.state_dict().items()}
    torch.save(given, file)
    load_parameters(network, read_checkpoint(file), "file")
    for name, value in network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, given[name].float())


def test_the_bookkeeping_of_published_layers_is_optional() -> None:
    network = nn.BatchNorm2d(3)
    given = {name: torch.rand(3) for name in ("weight", "bias", "running_mean", "running_var")}
    load_parameters(network, given, "file")
    given |= {name: torch.rand(3) for name in ("_tmp_running_mean", "_tmp_running_var")}
    given |= {"_running_iter": torch.ones(1), "num_batches_tracked": torch.tensor(1000)}
    load_parameters(network, given, "file")
    assert torch.equal(network.state_dict()["running_var"], given["running_var"])
