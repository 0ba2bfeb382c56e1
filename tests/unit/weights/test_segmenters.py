"""Segmenters by name, from published files, and from the file that a training writes."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from photoreal.errors import WeightsError
from photoreal.networks.segmenter import Segmenter
from photoreal.regions.classes import ADE20K
from photoreal.weights.segmenters import (
    SEGMENTER_FILE,
    load_segmenter,
    save_segmenter,
    segmenter_terms,
)

NAMES = ("sky", "tree", "road")
SOURCES = ({"name": "streets", "about": "Zürich", "terms": "research use", "photos": "3"},)


def _save(folder: Path, segmenter: Segmenter, class_names: str | None = None) -> None:
    torch.save(segmenter.encoder.state_dict(), folder / "encoder_epoch_20.pth")
    torch.save(segmenter.decoder.state_dict(), folder / "decoder_epoch_20.pth")
    if class_names is not None:
        (folder / "classes.txt").write_text(class_names)


def test_a_folder_that_is_not_there_is_refused() -> None:
    for name in ("vgg", "vgg.safetensors"):
        with pytest.raises(WeightsError, match=f"no weight set or folder '{name}'"):
            load_segmenter(name)


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"encoder_\w+\.pth is not there"):
        load_segmenter(tmp_path)


def test_a_segmenter_s_width_and_classes_are_read_from_its_files(tmp_path: Path) -> None:
    original = Segmenter(8, 4).eval()
    _save(tmp_path, original, "sky\n\n tree \nbuilding\nground\n")
    found, names = load_segmenter(str(tmp_path))
    assert names == ("sky", "tree", "building", "ground")
    assert not found.training
    picture = torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        assert torch.equal(found(picture), original(picture))


def test_150_classes_without_names_are_ade20k_s(tmp_path: Path) -> None:
    _save(tmp_path, Segmenter(4, 150))
    assert load_segmenter(tmp_path)[1] == ADE20K


@pytest.mark.parametrize(
    ("class_names", "words"),
    [
        (None, "3 classes but 150 names"),
        ("sky\ntree\n", "3 classes but 2 names"),
        ("sky\ntree\ngargoyle\n", "gargoyle"),
    ],
)
def test_class_names_must_fit(class_names: str | None, words: str, tmp_path: Path) -> None:
    _save(tmp_path, Segmenter(4, 3), class_names)
    with pytest.raises(WeightsError, match=words):
        load_segmenter(tmp_path)
    if class_names is not None:
        save_segmenter(tmp_path / "own", Segmenter(4, 3), class_names.split())
        with pytest.raises(WeightsError, match=words):
            load_segmenter(tmp_path / "own")


def test_files_of_another_network_are_refused(tmp_path: Path) -> None:
    for name in ("encoder_epoch_20.pth", "decoder_epoch_20.pth"):
        torch.save({"weight": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(WeightsError, match=r"no conv1\.weight"):
        load_segmenter(tmp_path)


def test_published_probabilities_are_not_calibrated(tmp_path: Path) -> None:
    _save(tmp_path, Segmenter(4, 2), "sky\ntree\n")
    assert load_segmenter(tmp_path)[0].temperature == 1.0
    assert segmenter_terms(tmp_path) == ""


def test_halves_of_two_segmenters_are_refused(tmp_path: Path, check_sentence: Any) -> None:
    for width, name in ((4, "one"), (8, "other")):
        (tmp_path / name).mkdir()
        _save(tmp_path / name, Segmenter(width, 2), "sky\ntree\n")
    decoder = "decoder_epoch_20.pth"
    (tmp_path / "one" / decoder).write_bytes((tmp_path / "other" / decoder).read_bytes())
    with pytest.raises(WeightsError, match=rf"{decoder} does not fit") as no:
        load_segmenter(tmp_path / "one")
    check_sentence(no.value)


@pytest.mark.parametrize("damage", ["text", "half", "a list"])
def test_a_damaged_checkpoint_is_refused(damage: str, tmp_path: Path, check_sentence: Any) -> None:
    _save(tmp_path, Segmenter(4, 2), "sky\ntree\n")
    file = tmp_path / "encoder_epoch_20.pth"
    if damage == "text":
        file.write_text("not weights")
    elif damage == "half":
        file.write_bytes(file.read_bytes()[:10_000])
    else:
        torch.save([1, 2], file)
    with pytest.raises(WeightsError, match=r"encoder_epoch_20\.pth") as no:
        load_segmenter(tmp_path)
    check_sentence(no.value)


@pytest.fixture
def network(seeded_module: Callable[[nn.Module], nn.Module]) -> Segmenter:
    """A segmenter of three classes with a temperature."""
    made = Segmenter(8, len(NAMES), temperature=1.0 / 3.0)
    seeded_module(made)
    return made


@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_saved_segmenter_comes_back(named: str, network: Segmenter, tmp_path: Path) -> None:
    file = save_segmenter(tmp_path / "new" / "folder", network, NAMES)
    assert file == tmp_path / "new" / "folder" / SEGMENTER_FILE
    assert [path.name for path in file.parent.iterdir()] == [SEGMENTER_FILE]
    found, names = load_segmenter(file if named == "file" else str(file.parent))
    assert names == NAMES
    assert found.temperature == 1.0 / 3.0
    assert not found.training
    assert not any(value.requires_grad for value in found.parameters())
    state = found.state_dict()
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            assert state[name].dtype == torch.float32
            expected = value.half().float() if value.ndim > 1 else value
            assert torch.equal(state[name], expected), name
    picture = torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        expected = network.eval()(picture)
        error = found(picture) - expected
    assert 0 < error.square().mean() < 0.01 * expected.var()


def test_weights_are_kept_in_half_precision_and_vectors_in_single(
    network: Segmenter, tmp_path: Path
) -> None:
    stored = load_file(save_segmenter(tmp_path, network, NAMES))
    for name, value in stored.items():
        assert value.dtype == (torch.float16 if value.ndim > 1 else torch.float32), name
    assert not any(name.endswith("num_batches_tracked") for name in stored)


def test_the_file_says_what_the_weights_are(network: Segmenter, tmp_path: Path) -> None:
    file = save_segmenter(tmp_path, network, NAMES, terms="research use", sources=SOURCES)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["classes"]) == list(NAMES)
    assert json.loads(metadata["sources"]) == list(SOURCES)
    assert float(metadata["temperature"]) == 1.0 / 3.0
    assert metadata["terms"] == "research use"
    for named in (file, tmp_path):
        assert segmenter_terms(named) == "research use"
    assert "non-commercial" in segmenter_terms("ade20k")


def test_the_temperature_divides_the_scores_before_the_softmax(network: Segmenter) -> None:
    network.eval()
    picture = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        scores = network.scores(picture)
        labels, probabilities = network.labels_and_probabilities(picture)
        network.temperature = 1.0
        same, plain = network.labels_and_probabilities(picture)
    torch.testing.assert_close(probabilities, (3.0 * scores).softmax(dim=1))
    torch.testing.assert_close(plain, scores.softmax(dim=1))
    assert torch.equal(labels, same)


def test_weights_with_channels_last_are_saved_alike(network: Segmenter, tmp_path: Path) -> None:
    plain = load_file(save_segmenter(tmp_path / "plain", network, NAMES))
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for name, value in load_file(save_segmenter(tmp_path / "other", network, NAMES)).items():
        assert torch.equal(value, plain[name])


def test_a_large_running_variance_does_not_overflow(network: Segmenter, tmp_path: Path) -> None:
    name = "encoder.bn1.running_var"
    network.state_dict()[name].fill_(67_668.0)
    found, _ = load_segmenter(save_segmenter(tmp_path, network, NAMES))
    assert torch.equal(found.state_dict()[name], network.state_dict()[name])
    assert found.state_dict()[name].max() == 67_668.0


@pytest.mark.parametrize("value", [65_520.0, -1e9, np.inf, np.nan])
@pytest.mark.parametrize("name", ["encoder.conv1.weight", "decoder.conv_last.1.running_var"])
def test_values_that_are_not_finite_are_refused(
    name: str, value: float, network: Segmenter, tmp_path: Path, check_sentence: Any
) -> None:
    file = save_segmenter(tmp_path, network, NAMES)
    before = file.read_bytes()
    tensor = network.state_dict()[name]
    tensor.view(-1)[1] = value
    if np.isfinite(value) and tensor.ndim == 1:
        save_segmenter(tmp_path, network, NAMES)  # fits single precision
        return
    with pytest.raises(WeightsError, match=rf"{name} would hold values that are not finite") as no:
        save_segmenter(tmp_path, network, NAMES)
    check_sentence(no.value)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [SEGMENTER_FILE]


def test_saving_leaves_the_segmenter_as_it_was(tmp_path: Path) -> None:
    network = Segmenter(4, 2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_segmenter(tmp_path, network, ("sky", "tree"))
    assert network.training
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("damage", ["text", "half", "empty", "no metadata"])
def test_a_damaged_file_is_refused(
    damage: str, network: Segmenter, tmp_path: Path, check_sentence: Any
) -> None:
    file = save_segmenter(tmp_path, network, NAMES)
    whole = file.read_bytes()
    if damage == "no metadata":
        save_file(load_file(file), file)
    else:
        file.write_bytes({"text": b"no weights", "half": whole[:5_000], "empty": b""}[damage])
    for read in (load_segmenter, segmenter_terms):
        with pytest.raises(WeightsError, match=r"segmenter\.safetensors holds no segmenter") as no:
            read(tmp_path)
        check_sentence(no.value)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": "0"},
        {"temperature": "nan"},
        {"temperature": "warm"},
        {"temperature": "inf"},
        {"classes": "sky"},
        {"classes": "3"},
    ],
    ids=str,
)
def test_metadata_that_does_not_fit_is_refused(
    change: dict[str, str], network: Segmenter, tmp_path: Path
) -> None:
    file = save_segmenter(tmp_path, network, NAMES)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata() | change
    save_file(load_file(file), file, metadata)
    with pytest.raises(WeightsError, match="holds no segmenter that can be read"):
        load_segmenter(file)


def test_a_file_of_another_network_is_refused(tmp_path: Path, network: Segmenter) -> None:
    file = save_segmenter(tmp_path, network, NAMES)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    save_file({"weight": torch.zeros(2)}, file, metadata)
    with pytest.raises(WeightsError, match=r"no conv1\.weight"):
        load_segmenter(file)
