"""WCT2's networks by the name of a set of weights, from a folder and from a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from photoreal.contract import UNPOOLS, Unpool
from photoreal.errors import WeightsError
from photoreal.weights.networks import load_bundle, load_wct2, save_bundle
from tests.shared import seeded_networks


@pytest.mark.parametrize("unpool", UNPOOLS)
def test_a_bundle_keeps_both_networks(unpool: Unpool, tmp_path: Path) -> None:
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


def test_networks_that_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weight set or folder 'vgg'"):
        load_wct2("vgg")
    with pytest.raises(WeightsError, match="Unpooling 'max' is not known"):
        load_wct2(unpool="max")  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=r"encoder_\w+\.pth is missing"):
        load_wct2(tmp_path)
    for name, network in zip(("encoder", "decoder"), seeded_networks("sum"), strict=True):
        torch.save(network.state_dict(), tmp_path / f"wave_{name}_cat5_l4.pth")
    with pytest.raises(WeightsError, match=r"wave_decoder_cat5_l4\.pth does not fit"):
        load_wct2(tmp_path, "cat5")
