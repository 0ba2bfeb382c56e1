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
from photoreal.networks.wavelet import FILTERS
from photoreal.weights.checkpoint import load_parameters, read_checkpoint


class RunsCode:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self._folder,))


@pytest.fixture
def parameters(
    seeded_state: Callable[[str], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """A published encoder file's content, which a test may change."""
    return seeded_state("wave_encoder_cat5_l4.pth")


def _saved(content: object, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


STATE = {"weight": torch.rand(3, 4), "bias": torch.rand(3)}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_saved_state_dict_is_read_back(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(_saved(STATE, _use_new_zipfile_serialization=zipped))
    found = read_checkpoint(path)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"wave\.pth is missing"):
        read_checkpoint(tmp_path / "wave.pth")


def _plain_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html><body>404: not found</body></html>\n", id="a web page"),
        pytest.param(b"hello world, this is no checkpoint\n" * 10, id="text"),
        pytest.param(bytes(range(256)), id="bytes"),
        pytest.param(_plain_zip(), id="another zip"),
        pytest.param(_saved(STATE)[:-200], id="truncated"),
        *(
            pytest.param(
                _saved(STATE, _use_new_zipfile_serialization=False)[:length],
                id=f"legacy up to {length}",
            )
            for length in (5, 25, 60, 100, 150, 200, 250, 300, 350, 400)
        ),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"file\.pth is not a checkpoint .*torch\.save"):
        read_checkpoint(path)


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
def test_a_checkpoint_of_something_else_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(_saved(content))
    with pytest.raises(WeightsError, match="contains no state dict"):
        read_checkpoint(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(kind: str, tmp_path: Path) -> None:
    made, path = tmp_path / "made", tmp_path / "file.pth"
    content = {"weight": RunsCode(made)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        path.write_bytes(_saved(content, _use_new_zipfile_serialization=kind == "zip"))
    with pytest.raises(WeightsError, match="not a checkpoint that can be loaded safely"):
        read_checkpoint(path)
    assert not made.exists()


def test_published_entries_fit_with_and_without_the_filters(
    parameters: dict[str, Tensor],
) -> None:
    with_filters, without = Encoder(), Encoder()
    load_parameters(with_filters, parameters, "file")
    learned = {name: value for name, value in parameters.items() if name.count(".") == 1}
    load_parameters(without, learned, "file")
    for name, value in without.state_dict().items():
        assert torch.equal(value, with_filters.state_dict()[name])
        assert torch.equal(value, parameters[name])


def _misshape(parameters: dict[str, Tensor]) -> None:
    parameters["conv3_1.weight"] = torch.zeros(256, 64, 3, 3)


def _spoil(value: float) -> Callable[[dict[str, Tensor]], None]:
    def change(parameters: dict[str, Tensor]) -> None:
        parameters["conv2_1.bias"][5] = value

    return change


def _turn_filter(parameters: dict[str, Tensor]) -> None:
    parameters["pool2.LH.weight"] = parameters["pool2.HL.weight"]


def _grow_filter(parameters: dict[str, Tensor]) -> None:
    parameters["pool2.LH.weight"] = torch.zeros(128, 1, 3, 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.pop("conv2_1.bias"), "conv2_1.bias is missing"),
        (_misshape, "conv3_1.weight is 256x64x3x3, expected 256x128x3x3"),
        (lambda p: p.update(extra=torch.zeros(1)), "extra is not known"),
        (_spoil(float("nan")), "conv2_1.bias holds values that are not finite"),
        (_spoil(float("-inf")), "conv2_1.bias holds values that are not finite"),
        (_turn_filter, "pool2.LH.weight is no Haar filter"),
        (_grow_filter, "pool2.LH.weight is no Haar filter"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    change: Callable[[dict[str, Tensor]], object], words: str, parameters: dict[str, Tensor]
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


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_another_precision_is_converted(dtype: torch.dtype, tmp_path: Path) -> None:
    network = nn.Linear(3, 2)
    given = {name: torch.rand_like(value).to(dtype) for name, value in network.state_dict().items()}
    torch.save(given, tmp_path / "file.pth")
    load_parameters(network, read_checkpoint(tmp_path / "file.pth"), "file")
    for name, value in network.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, given[name].float())


def test_half_precision_filters_are_filters(parameters: dict[str, Tensor]) -> None:
    assert any(name.split(".")[1] in FILTERS for name in parameters)
    load_parameters(Encoder(), {name: value.half() for name, value in parameters.items()}, "file")


def test_the_bookkeeping_of_published_layers_is_optional() -> None:
    network = nn.BatchNorm2d(3)
    given = {name: torch.rand(3) for name in ("weight", "bias", "running_mean", "running_var")}
    load_parameters(network, given, "file")
    given |= {name: torch.rand(3) for name in ("_tmp_running_mean", "_tmp_running_var")}
    given |= {"_running_iter": torch.ones(1), "num_batches_tracked": torch.tensor(1000)}
    load_parameters(network, given, "file")
    assert torch.equal(network.state_dict()["running_var"], given["running_var"])
