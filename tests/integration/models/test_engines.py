"""The two engines give the same picture, and the levels of "bls" are the networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from tritonclient.utils import InferenceServerException

from photoreal.client import StylizeResult
from photoreal.contract import Unpool
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

Arrays = dict[str, npt.NDArray[Any]]
MASKS = ("content_mask", "style_mask")


@pytest.mark.parametrize(
    "options",
    [
        {"size": 64},
        {"size": 75, "transfer_at": "skip,decoder", "alpha": 0.5},
        {"size": 50, "transfer_at": "encoder"},
        {"size": 48, "masks": False},
        {"size": 48, "masks": False, "segment": False},
    ],
    ids=["masks", "odd size, places, alpha", "encoder alone", "segmenter", "whole"],
)
@pytest.mark.parametrize("method", ["published", "wct2"])
def test_engines_agree(
    local: Server,
    bls: Server,
    stylize: Callable[..., StylizeResult],
    pair: Callable[[str], dict[str, Any]],
    psnr: Callable[[Tensor, Tensor], float],
    options: dict[str, Any],
    method: str,
) -> None:
    arguments = {**pair("pagoda-dusk"), **options, "method": method}
    if method == "wct2":
        arguments |= {"wct2_strength": 1.0, "output_size": options["size"]}
    if not arguments.pop("masks", True):
        arguments = {name: value for name, value in arguments.items() if name not in MASKS}
    one, other = (stylize(server, **arguments) for server in (local, bls))
    assert one.report["regions"] == other.report["regions"]
    assert one.content_labels_png == other.content_labels_png
    pictures = [torch.from_numpy(np.array(result.image)) / 255 for result in (one, other)]
    assert pictures[0].shape == (options["size"], round(640 * options["size"] / 427), 3)
    assert psnr(pictures[0], pictures[1]) > 60


def test_levels_are_the_networks(
    bls: Server,
    call: Callable[..., Arrays],
    builtin_networks: Callable[[Unpool], tuple[Encoder, Decoder]],
    random_image: Callable[..., Tensor],
) -> None:
    encoder, decoder = builtin_networks("cat5")
    images = torch.cat([random_image(24, 40), random_image(24, 40, 1)])
    with torch.inference_mode():
        first, _ = encoder.level(1, images)
        second, skips = encoder.level(2, first)
        assert skips is not None
        undone = decoder.level(2, second, skips)
    got = call(bls, "wct2_encoder_1", {"INPUT": images.numpy()}, "grpc")
    np.testing.assert_allclose(got["FEATURES"], first.numpy(), atol=1e-4, rtol=1e-4)
    got = call(bls, "wct2_encoder_2", {"INPUT": first.numpy()})
    assert set(got) == {"FEATURES", "LH", "HL", "HH", "ORIGINAL"}
    np.testing.assert_allclose(got["FEATURES"], second.numpy(), atol=1e-4, rtol=1e-4)
    got = call(bls, "wct2_decoder_2", got)
    np.testing.assert_allclose(got["OUTPUT"], undone.numpy(), atol=1e-3, rtol=1e-3)


def test_local_engine_needs_no_levels(local: Server, call: Callable[..., Arrays]) -> None:
    with pytest.raises(InferenceServerException, match="wct2_encoder_1"):
        call(local, "wct2_encoder_1", {"INPUT": np.zeros((1, 3, 16, 16), dtype=np.float32)})
