"""Segmenters by name, from published files, and from the file that a training writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from photoreal.errors import WeightsError
from photoreal.networks.segmenter import Segmenter
from photoreal.regions.classes import ADE20K
from photoreal.weights.segmenters import (
    SEGMENTER_FILE,
    load_segmenter,
    save_segmenter,
    segmenter_terms,
)
from tests.reference_cases import seeded_module
from tests.shared import refused

NAMES = ("sky", "tree", "road")
SOURCES = ({"name": "streets", "about": "Zürich", "terms": "research use", "photos": "3"},)
PICTURE = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))


def _save(folder: Path, segmenter: Segmenter, class_names: str | None = None) -> None:
    """Write the published files."""
    folder.mkdir(exist_ok=True)
    torch.save(segmenter.encoder.state_dict(), folder / "encoder_epoch_20.pth")
    torch.save(segmenter.decoder.state_dict(), folder / "decoder_epoch_20.pth")
    if class_names is not None:
        (folder / "classes.txt").write_text(class_names)


class TestPublished:
    def test_missing_files(self, tmp_path: Path) -> None:
        for name in ("vgg", "vgg.safetensors"):
            with pytest.raises(WeightsError, match=f"no weight set or folder '{name}'"):
                load_segmenter(name)
        with pytest.raises(WeightsError, match=r"encoder_epoch_20\.pth is missing"):
            load_segmenter(tmp_path)

    def test_width_and_classes_are_read_from_the_files(self, tmp_path: Path) -> None:
        original = Segmenter(8, 4).eval()
        _save(tmp_path, original, "sky\n\n tree \nbuilding\nground\n")
        found, names = load_segmenter(str(tmp_path))
        assert names == ("sky", "tree", "building", "ground")
        assert not found.training
        assert found.temperature == 1.0  # not calibrated
        assert segmenter_terms(tmp_path) == ""
        with torch.inference_mode():
            assert torch.equal(found(PICTURE), original(PICTURE))

    def test_150_classes_without_names_are_ade20k_s(self, tmp_path: Path) -> None:
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
    def test_class_names_must_fit(
        self, class_names: str | None, words: str, tmp_path: Path
    ) -> None:
        _save(tmp_path, Segmenter(4, 3), class_names)
        with pytest.raises(WeightsError, match=words):
            load_segmenter(tmp_path)
        if class_names is not None:
            save_segmenter(tmp_path / "own", Segmenter(4, 3), class_names.split())
            with pytest.raises(WeightsError, match=words):
                load_segmenter(tmp_path / "own")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"not weights", r"encoder_epoch_20\.pth"),
            (None, r"encoder_epoch_20\.pth"),
            ([1, 2], r"encoder_epoch_20\.pth"),
            ({"weight": torch.zeros(2)}, r"no conv1\.weight"),
        ],
        ids=["text", "half", "a list", "another network"],
    )
    def test_a_damaged_checkpoint_is_refused(
        self, content: object, words: str, tmp_path: Path
    ) -> None:
        _save(tmp_path, Segmenter(4, 2), "sky\ntree\n")
        file = tmp_path / "encoder_epoch_20.pth"
        if content is None or isinstance(content, bytes):
            file.write_bytes(content or file.read_bytes()[:10_000])
        else:
            torch.save(content, file)
        with refused(WeightsError, words):
            load_segmenter(tmp_path)

    def test_halves_of_two_segmenters_are_refused(self, tmp_path: Path) -> None:
        decoder = "decoder_epoch_20.pth"
        for width, folder in ((8, tmp_path / "other"), (4, tmp_path)):
            _save(folder, Segmenter(width, 2), "sky\ntree\n")
        (tmp_path / decoder).write_bytes((tmp_path / "other" / decoder).read_bytes())
        with refused(WeightsError, rf"{decoder} does not fit"):
            load_segmenter(tmp_path)


@pytest.fixture
def network() -> Segmenter:
    """A segmenter of three classes with a temperature."""
    made = Segmenter(8, len(NAMES), temperature=1.0 / 3.0)
    seeded_module(made)
    return made


@pytest.fixture
def file(network: Segmenter, tmp_path: Path) -> Path:
    """That segmenter, saved."""
    return save_segmenter(tmp_path / "new", network, NAMES, terms="research use", sources=SOURCES)


class TestOwnFile:
    @pytest.mark.parametrize("named", ["folder", "file"])
    def test_a_saved_segmenter_comes_back(self, named: str, network: Segmenter, file: Path) -> None:
        assert [path.name for path in file.parent.iterdir()] == [SEGMENTER_FILE]
        found, names = load_segmenter(file if named == "file" else str(file.parent))
        assert names == NAMES
        assert found.temperature == 1.0 / 3.0
        assert not found.training
        assert not any(value.requires_grad for value in found.parameters())
        state, stored = found.state_dict(), load_file(file)
        assert not any(name.endswith("num_batches_tracked") for name in stored)
        for name, value in network.state_dict().items():
            if value.is_floating_point():  # vectors are kept in single precision
                assert stored[name].dtype == (torch.float16 if value.ndim > 1 else torch.float32)
                assert state[name].dtype == torch.float32
                assert torch.equal(state[name], value.to(stored[name].dtype).float()), name
        with torch.inference_mode():
            expected = network(PICTURE)
            error = found(PICTURE) - expected
        assert 0 < error.square().mean() < 0.01 * expected.var()

    def test_the_file_says_what_the_weights_are(self, file: Path) -> None:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
        assert json.loads(metadata["classes"]) == list(NAMES)
        assert json.loads(metadata["sources"]) == list(SOURCES)
        assert float(metadata["temperature"]) == 1.0 / 3.0
        assert metadata["terms"] == "research use"
        for named in (file, file.parent):
            assert segmenter_terms(named) == "research use"
        assert "non-commercial" in segmenter_terms("ade20k")

    def test_the_temperature_divides_the_scores_before_the_softmax(
        self, network: Segmenter
    ) -> None:
        with torch.inference_mode():
            scores = network.scores(PICTURE)
            labels, probabilities = network.labels_and_probabilities(PICTURE)
            network.temperature = 1.0
            same, plain = network.labels_and_probabilities(PICTURE)
        torch.testing.assert_close(probabilities, (3.0 * scores).softmax(dim=1))
        torch.testing.assert_close(plain, scores.softmax(dim=1))
        assert torch.equal(labels, same)

    def test_a_large_running_variance_does_not_overflow(
        self, network: Segmenter, tmp_path: Path
    ) -> None:
        name = "encoder.bn1.running_var"
        network.state_dict()[name].fill_(67_668.0)
        found, _ = load_segmenter(save_segmenter(tmp_path, network, NAMES))
        assert found.state_dict()[name].unique().tolist() == [67_668.0]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("encoder.conv1.weight", value) for value in (65_520.0, -1e9, np.inf, np.nan)),
            *(("decoder.conv_last.1.running_var", value) for value in (np.inf, np.nan)),
        ],
    )
    def test_values_that_are_not_finite_are_refused(
        self, name: str, value: float, network: Segmenter, file: Path
    ) -> None:
        before = file.read_bytes()
        network.state_dict()[name].view(-1)[1] = value
        with refused(WeightsError, rf"{name} would hold values that are not finite"):
            save_segmenter(file.parent, network, NAMES)
        assert file.read_bytes() == before
        assert [path.name for path in file.parent.iterdir()] == [SEGMENTER_FILE]

    def test_saving_leaves_the_segmenter_as_it_was(self, tmp_path: Path) -> None:
        network = Segmenter(4, 2).train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        save_segmenter(tmp_path, network, ("sky", "tree"))
        assert network.training
        for name, value in network.state_dict().items():
            assert value.dtype == before[name].dtype
            assert torch.equal(value, before[name])

    def test_weights_with_channels_last_are_saved_alike(
        self, network: Segmenter, file: Path, tmp_path: Path
    ) -> None:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        plain = load_file(file)
        for name, value in load_file(save_segmenter(tmp_path / "other", network, NAMES)).items():
            assert torch.equal(value, plain[name])

    @pytest.mark.parametrize("damage", ["text", "half", "empty", "no metadata"])
    def test_a_damaged_file_is_refused(self, damage: str, file: Path) -> None:
        if damage == "no metadata":
            save_file(load_file(file), file)
        else:
            half = file.read_bytes()[:5_000]
            file.write_bytes({"text": b"no weights", "half": half, "empty": b""}[damage])
        for read in (load_segmenter, segmenter_terms):
            with refused(WeightsError, r"segmenter\.safetensors holds no segmenter"):
                read(file.parent)

    @pytest.mark.parametrize(
        "change",
        [
            *({"temperature": value} for value in ("0", "nan", "warm", "inf")),
            *({"classes": value} for value in ("sky", "3")),
        ],
        ids=str,
    )
    def test_metadata_that_does_not_fit_is_refused(
        self, change: dict[str, str], file: Path
    ) -> None:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
        save_file(load_file(file), file, metadata | change)
        with pytest.raises(WeightsError, match="holds no segmenter that can be read"):
            load_segmenter(file)
        save_file({"weight": torch.zeros(2)}, file, metadata)
        with pytest.raises(WeightsError, match=r"no conv1\.weight"):
            load_segmenter(file)
