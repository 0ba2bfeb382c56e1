"""Filling a repository: all of it, or nothing."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from photoreal import contract
from photoreal.contract import ModelSpec
from photoreal.errors import ExportError, WeightsError
from photoreal.export import ExportSettings, export_repository, repository
from photoreal.export.acceleration import Acceleration
from photoreal.export.configs import ExportTarget, model_configs
from photoreal.export.onnx import check_onnx
from photoreal.export.wrappers import DecoderLevel, EncoderLevel
from photoreal.networks.segmenter import Segmenter
from photoreal.serve.launch.repository import models_on_gpu, models_to_load
from photoreal.weights.networks import load_bundle, load_wct2
from photoreal.weights.segmenters import SEGMENTER_FILE, load_segmenter
from tests.kinds import Patch
from tests.reference_cases import seeded_state
from tests.shared import seeded_networks

LEVELS = [spec.name for spec in contract.network_levels()]
ADAPTERS = ("cancel", "stylize", "wct2")


def _export(folder: Path, *rest: Any, **settings: Any) -> list[str]:
    """Export, and return the lines of the report."""
    lines: list[str] = []
    export_repository(ExportSettings(folder, *rest, **settings), lines.append)
    return lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def segmenter_folder(tmp_path: Path) -> Path:
    """Files of a small segmenter with two classes."""
    path = tmp_path / "segmenter"
    path.mkdir()
    network = Segmenter(4, 2)
    torch.save(network.encoder.state_dict(), path / "encoder_epoch_20.pth")
    torch.save(network.decoder.state_dict(), path / "decoder_epoch_20.pth")
    (path / "classes.txt").write_text("sky\ntree\n")
    return path


@pytest.fixture
def weights_folder(tmp_path: Path) -> Path:
    """Published files of the sum variant with seeded content."""
    path = tmp_path / "weights"
    path.mkdir()
    for network in ("encoder", "decoder"):
        name = f"wave_{network}_sum_l4.pth"
        torch.save(seeded_state(name), path / name)
    return path


_load_wct2 = lru_cache(maxsize=2)(load_wct2)
_load_segmenter = lru_cache(maxsize=2)(load_segmenter)


@pytest.fixture
def quick(monkeypatch: Patch) -> None:
    """Exports load networks once, write a word instead of them, and every check passes."""
    monkeypatch.setattr(repository, "load_wct2", _load_wct2)
    monkeypatch.setattr(repository, "load_segmenter", _load_segmenter)

    def write(module: object, spec: ModelSpec, path: Path, precision: str) -> None:
        path.write_text(f"{spec.name} {precision}")

    def build(
        spec: ModelSpec, onnx_file: Path, plan_file: Path, precision: str, max_side: int
    ) -> None:
        plan_file.write_text(f"plan of {onnx_file.read_text()}")

    monkeypatch.setattr(repository, "export_onnx", write)
    monkeypatch.setattr(repository, "check_onnx", lambda *_: 0.0)
    monkeypatch.setattr(repository, "require_tensorrt", lambda: None)
    monkeypatch.setattr(repository, "build_engine", build)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_export_makes_a_repository_that_can_be_served(
    precision: str, folder: Path, segmenter_folder: Path
) -> None:
    lines = _export(folder, segmenter=str(segmenter_folder), precision=precision)
    expected = {f"{spec.name}/config.pbtxt" for spec in contract.models()}
    expected |= {f"{name}/1/model.py" for name in ADAPTERS}
    expected |= {f"{name}/1/model.onnx" for name in [*LEVELS, "segmenter"]}
    expected |= {"segmenter/labels.txt", f"segmenter/1/{SEGMENTER_FILE}"}  # its weights
    assert set(_files(folder)) == expected
    assert (folder / "segmenter" / "labels.txt").read_text() == "sky\ntree\n"
    assert [line.split()[0] for line in lines] == ["segmenter", *LEVELS]
    for name, text in model_configs().items():
        assert (folder / name / "config.pbtxt").read_text() == text
    for name in LEVELS:
        assert (folder / name / "1" / "model.onnx").read_text() == f"{name} {precision}"
    source = Path(__file__).parents[2] / "model_repository"
    for name in ADAPTERS:
        adapter = folder / name / "1" / "model.py"
        assert adapter.read_text() == (source / name / "1" / "model.py").read_text()
        assert not adapter.is_symlink()
    assert set(models_to_load(folder, "bls")) == {spec.name for spec in contract.models()}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("settings", "models"),
    [
        ({}, {*ADAPTERS, "segmenter"}),
        ({"segmenter": None}, {*ADAPTERS}),
        ({"device": "cuda"}, {*ADAPTERS, "segmenter", *LEVELS}),
    ],
    ids=["usual", "no segmenter", "gpu"],
)
def test_a_stock_export_holds_only_what_can_be_loaded(
    settings: dict[str, Any], models: set[str], folder: Path
) -> None:
    """A plain tritonserver loads every model that it finds, and ends when one fails."""
    _export(folder, stock=True, environment="/opt/photoreal", **settings)
    assert {path.name for path in folder.iterdir()} == models
    for name in models:
        kind = "model.py" if name in ADAPTERS else "model.onnx"
        assert (folder / name / "1" / kind).exists()
        config = text_format.Parse((folder / name / "config.pbtxt").read_text(), ModelConfig())
        found = config.parameters["EXECUTION_ENV_PATH"].string_value
        assert found == ("/opt/photoreal" if name in ADAPTERS else "")
    _export(folder, stock=True, **settings)  # once more


@pytest.mark.usefixtures("quick")
def test_a_stock_export_does_not_mix_with_another(folder: Path) -> None:
    _export(folder)
    before = _files(folder)
    with pytest.raises(ExportError, match="wct2_decoder_1, which a stock Triton would load"):
        _export(folder, stock=True)
    assert _files(folder) == before


def test_models_in_the_repository_are_the_networks_of_its_weights(
    folder: Path, weights_folder: Path, monkeypatch: Patch
) -> None:
    """A real export, of the first and the last level alone to save time."""
    chosen = ("wct2_encoder_1", "wct2_decoder_1")
    levels = repository._network_levels
    monkeypatch.setattr(
        repository,
        "_network_levels",
        lambda *networks: (one for one in levels(*networks) if one[0].name in chosen),
    )
    lines = _export(folder, str(weights_folder), "sum", None, "fp16")
    assert [line.split()[:2] for line in lines] == [[name, "fp16"] for name in chosen]
    encoder, decoder = load_bundle(folder / "wct2" / "1" / contract.WEIGHTS_FILE)
    for module in (EncoderLevel(encoder, 1), DecoderLevel(decoder, 1)):
        error = check_onnx(
            module, module.spec, folder / module.spec.name / "1" / "model.onnx", "fp16"
        )
        assert 0 < error < 1e-2


@pytest.mark.usefixtures("quick")
def test_given_weights_are_stored_beside_wct2_and_built_in_ones_are_not(
    folder: Path, weights_folder: Path
) -> None:
    bundle = folder / "wct2" / "1" / contract.WEIGHTS_FILE
    _export(folder, str(weights_folder), "sum")
    for found, seeded in zip(load_bundle(bundle), seeded_networks("sum"), strict=True):
        assert found.unpool == "sum"
        for name, value in found.state_dict().items():
            assert torch.equal(value, seeded.state_dict()[name])
    assert '"sum"' in (folder / "wct2" / "config.pbtxt").read_text()
    _export(folder)
    assert not bundle.exists()
    assert '"cat5"' in (folder / "wct2" / "config.pbtxt").read_text()


@pytest.mark.usefixtures("quick")
def test_files_that_are_the_same_are_left_alone(folder: Path) -> None:
    _export(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    (folder / "notes.txt").write_text("mine")
    _export(folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("failing", ["check", "export", "interrupt"])
def test_a_failure_leaves_the_repository_as_it_was(
    failing: str, folder: Path, weights_folder: Path, monkeypatch: Patch
) -> None:
    _export(folder)
    before = _files(folder)
    calls: list[str] = []
    error = {
        "check": ExportError("wct2_decoder_4 does not agree with its network."),
        "export": RuntimeError("the exporter broke"),
        "interrupt": KeyboardInterrupt(),
    }[failing]

    def fail(module: object, spec: ModelSpec, *rest: object) -> float:
        calls.append(spec.name)
        if spec.name == "wct2_decoder_4":
            raise error
        return 0.0

    monkeypatch.setattr(repository, "check_onnx", fail)
    with pytest.raises(type(error)):
        _export(folder, str(weights_folder), "sum", None, "fp16")
    assert len(calls) == 5
    assert _files(folder) == before
    assert not list(folder.glob(".*"))


@pytest.mark.usefixtures("quick")
def test_weights_that_cannot_be_read_make_no_folder(folder: Path, tmp_path: Path) -> None:
    for settings in (
        {"weights": str(tmp_path / "nowhere")},
        {"segmenter": str(tmp_path / "nowhere")},
        {"weights": str(tmp_path)},
    ):
        with pytest.raises(WeightsError):
            _export(folder, **settings)
    assert not folder.exists()


def test_tensorrt_without_the_package_stops_before_anything_is_written(folder: Path) -> None:
    with pytest.raises(ExportError, match="package tensorrt is missing"):
        _export(folder, tensorrt=True)
    assert not folder.exists()


@pytest.mark.usefixtures("quick")
def test_engines_and_onnx_models_take_each_other_s_place(
    folder: Path, segmenter_folder: Path
) -> None:
    for tensorrt in (False, True, False):
        _export(folder, segmenter=str(segmenter_folder), tensorrt=tensorrt)
        kept = "model.plan" if tensorrt else "model.onnx"
        for name in [*LEVELS, "segmenter"]:
            files = {path.name for path in (folder / name / "1").iterdir()}
            assert files - {SEGMENTER_FILE} == {kept}
            assert kept in (folder / name / "config.pbtxt").read_text()


@pytest.mark.usefixtures("quick")
def test_the_default_segmenter_is_exported_with_its_terms_unless_another_or_none_is_asked_for(
    folder: Path, segmenter_folder: Path
) -> None:
    own = folder / "segmenter" / "1" / SEGMENTER_FILE
    _export(folder, segmenter=str(segmenter_folder))
    assert own.exists()
    terms = "research and non-commercial use (photoreal's code: MIT)"
    assert _export(folder)[-1] == f"weights of the segmenter default: {terms}"
    assert not own.exists()
    labels = folder / "segmenter" / "labels.txt"
    assert labels.read_text().splitlines() == list(load_segmenter("default")[1])
    for segmenter in (None, str(segmenter_folder)):  # nothing is known of their terms
        assert "use" not in " ".join(_export(folder, segmenter=segmenter))
    assert labels.read_text() == "sky\ntree\n"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_an_export_without_a_segmenter_leaves_none_from_before(
    before: bool, after: bool, folder: Path, segmenter_folder: Path
) -> None:
    """In the format that the config names, or in the other one."""
    _export(folder, segmenter=str(segmenter_folder), tensorrt=before)
    assert "segmenter" in models_to_load(folder, None)
    _export(folder, segmenter=None, tensorrt=after)
    assert "segmenter" not in models_to_load(folder, None)
    assert [path.name for path in (folder / "segmenter").rglob("*") if path.is_file()] == [
        "config.pbtxt"
    ]


@pytest.mark.usefixtures("quick")
def test_a_repository_for_a_gpu_is_exported_without_one(folder: Path) -> None:
    gpu = {"device": "cuda", "accelerator": "tensorrt"}
    _export(folder, precision="fp16", engine_cache="/engines", **gpu)
    expected = model_configs(
        target=ExportTarget(gpu=True, acceleration=Acceleration("fp16", "/engines"))
    )
    for name, text in expected.items():
        assert (folder / name / "config.pbtxt").read_text() == text
    assert models_on_gpu(folder, expected) == [
        name for name in expected if name not in ("stylize", "cancel")
    ]
    _export(folder)
    assert models_on_gpu(folder, expected) == []


@pytest.mark.usefixtures("quick")
def test_tensorrt_is_asked_for_in_one_of_two_ways(folder: Path) -> None:
    for further in ({"tensorrt": True, "device": "cuda"}, {"device": "cpu"}):
        with pytest.raises(ExportError, match="with --device cuda and without --tensorrt"):
            _export(folder, accelerator="tensorrt", **further)
    assert not folder.exists()
