"""Networks by the name of a set of weights, from a folder and from a bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from photoreal.classes import ADE20K
from photoreal.contract import UNPOOLS, Unpool
from photoreal.errors import WeightsError
from photoreal.segmenter import Segmenter
from photoreal.vgg import Decoder, Encoder
from photoreal.weights.networks import (
    load_bundle,
    load_segmenter,
    load_wct2,
    save_bundle,
    save_segmenter,
)

Networks = Callable[[Unpool], tuple[Encoder, Decoder]]


def _save(folder: Path, segmenter: Segmenter, class_names: str | None = None) -> None:
    torch.save(segmenter.encoder.state_dict(), folder / "encoder_epoch_20.pth")
    torch.save(segmenter.decoder.state_dict(), folder / "decoder_epoch_20.pth")
    if class_names is not None:
        (folder / "classes.txt").write_text(class_names)


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_a_bundle_keeps_both_networks(
    unpool: Unpool, seeded_networks: Networks, tmp_path: Path
) -> None:
    networks = seeded_networks(unpool)
    save_bundle(tmp_path / "weights.pt", *networks)
    for found, saved in zip(load_bundle(tmp_path / "weights.pt"), networks, strict=True):
        assert found.unpool == unpool
        assert not found.training
        for name, value in found.state_dict().items():
            assert torch.equal(value, saved.state_dict()[name])
        assert not any(value.requires_grad for value in found.parameters())


def test_a_bundle_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="does not fit"):
        load_bundle(tmp_path / "weights.pt")


@pytest.mark.parametrize("load", [load_wct2, load_segmenter])
def test_a_folder_that_is_not_there_is_refused(load: Callable[[Any], object]) -> None:
    with pytest.raises(WeightsError, match="no weight set or folder 'vgg'"):
        load("vgg")


@pytest.mark.parametrize("load", [load_wct2, load_segmenter])
def test_a_folder_without_the_files_is_refused(
    load: Callable[[Any], object], tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"encoder_\w+\.pth is not there"):
        load(tmp_path)


def test_an_unknown_unpooling_is_refused() -> None:
    with pytest.raises(WeightsError, match="Unpooling 'max' is not known"):
        load_wct2(unpool="max")  # type: ignore[arg-type]


def test_files_of_the_other_unpooling_are_refused(
    seeded_networks: Networks, tmp_path: Path
) -> None:
    encoder, decoder = seeded_networks("sum")
    torch.save(encoder.state_dict(), tmp_path / "wave_encoder_cat5_l4.pth")
    torch.save(decoder.state_dict(), tmp_path / "wave_decoder_cat5_l4.pth")
    with pytest.raises(WeightsError, match=r"wave_decoder_cat5_l4\.pth does not fit"):
        load_wct2(tmp_path, "cat5")


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


def test_files_of_another_network_are_refused(tmp_path: Path) -> None:
    for name in ("encoder_epoch_20.pth", "decoder_epoch_20.pth"):
        torch.save({"weight": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(WeightsError, match=r"no conv1\.weight"):
        load_segmenter(tmp_path)


def test_a_saved_segmenter_comes_back_in_half_precision(
    seeded_module: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    original = Segmenter(8, 3)
    seeded_module(original)
    save_segmenter(tmp_path / "new" / "folder", original, ("sky", "tree", "road"))
    found, names = load_segmenter(tmp_path / "new" / "folder")
    assert names == ("sky", "tree", "road")
    assert not found.training
    assert not any(value.requires_grad for value in found.parameters())
    state = found.state_dict()
    for name, value in original.state_dict().items():
        if value.is_floating_point():
            assert state[name].dtype == torch.float32
            assert torch.equal(state[name], value.half().float()), name
    for name in ("encoder_epoch_20.pth", "decoder_epoch_20.pth"):
        stored = torch.load(tmp_path / "new" / "folder" / name, weights_only=True)
        assert {value.dtype for value in stored.values()} == {torch.float16}
    picture = torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        expected = original(picture)
        error = found(picture) - expected
    assert 0 < error.square().mean() < 0.01 * expected.var()


def test_saving_leaves_the_segmenter_as_it_was(tmp_path: Path) -> None:
    network = Segmenter(4, 2).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    save_segmenter(tmp_path, network, ("sky", "tree"))
    assert network.training
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


def test_halves_of_two_segmenters_are_refused(tmp_path: Path, check_sentence: Any) -> None:
    for width, name in ((4, "one"), (8, "other")):
        save_segmenter(tmp_path / name, Segmenter(width, 2), ("sky", "tree"))
    decoder = "decoder_epoch_20.pth"
    (tmp_path / "one" / decoder).write_bytes((tmp_path / "other" / decoder).read_bytes())
    with pytest.raises(WeightsError, match=rf"{decoder} does not fit") as no:
        load_segmenter(tmp_path / "one")
    check_sentence(no.value)


@pytest.mark.parametrize("damage", ["text", "half", "a list"])
def test_a_damaged_segmenter_is_refused(damage: str, tmp_path: Path, check_sentence: Any) -> None:
    save_segmenter(tmp_path, Segmenter(4, 2), ("sky", "tree"))
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
