"""Loading of WCT2's networks by the name of a weight set or from a folder."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor

from photoreal.contract import UNPOOLS, Unpool
from photoreal.errors import WeightsError
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.weights import manifest
from photoreal.weights.builtin import builtin_parameters
from photoreal.weights.checkpoint import existing_folder, load_parameters, read_checkpoint
from photoreal.weights.download import fetch

BUILTIN = "builtin"


def load_wct2(weights: str | Path = BUILTIN, unpool: Unpool = "cat5") -> tuple[Encoder, Decoder]:
    """Load the encoder and decoder, ready for inference.

    `weights` is "builtin" (computed), "wct2" (published, downloaded once) or a folder with files
    of the published names. Raises WeightsError for missing or incompatible weights.
    """
    if unpool not in UNPOOLS:
        raise WeightsError(f"Unpooling {unpool!r} is not known; expected {' or '.join(UNPOOLS)}.")
    if weights == BUILTIN:
        encoder_parameters, decoder_parameters = builtin_parameters(unpool)
        sources = ("The built-in encoder", "The built-in decoder")
    else:
        folder = fetch(manifest.WCT2) if weights == manifest.WCT2.name else existing_folder(weights)
        names = [manifest.wct2_file(network, unpool) for network in ("encoder", "decoder")]
        encoder_parameters, decoder_parameters = (read_checkpoint(folder / name) for name in names)
        sources = (names[0], names[1])
    return _assemble(encoder_parameters, decoder_parameters, unpool, sources)


def save_bundle(path: Path, encoder: Encoder, decoder: Decoder) -> None:
    """Write both networks' parameters into one file for `load_bundle`."""
    bundle = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    bundle |= {f"decoder.{name}": value for name, value in decoder.state_dict().items()}
    stream = io.BytesIO()
    torch.save(bundle, stream)
    path.write_bytes(stream.getbuffer())  # unlike torch.save, reports a full disk


def load_bundle(path: Path) -> tuple[Encoder, Decoder]:
    """Load networks written by `save_bundle`; the names reveal the unpooling variant."""
    bundle = read_checkpoint(path)
    unpool: Unpool = "cat5" if "decoder.conv3_4_2.weight" in bundle else "sum"
    encoder, decoder = (
        {
            name.removeprefix(prefix): value
            for name, value in bundle.items()
            if name.startswith(prefix)
        }
        for prefix in ("encoder.", "decoder.")
    )
    return _assemble(encoder, decoder, unpool, (path.name, path.name))


def fingerprint(encoder: Encoder, decoder: Decoder) -> str:
    """Identify the weights of both networks by 16 hexadecimal digits of their SHA-256."""
    digest = hashlib.sha256()
    for network in (encoder, decoder):
        for name, value in sorted(network.state_dict().items()):
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _assemble(
    encoder_parameters: dict[str, Tensor],
    decoder_parameters: dict[str, Tensor],
    unpool: Unpool,
    sources: tuple[str, str],
) -> tuple[Encoder, Decoder]:
    encoder, decoder = Encoder(unpool), Decoder(unpool)
    load_parameters(encoder, encoder_parameters, sources[0])
    load_parameters(decoder, decoder_parameters, sources[1])
    return encoder.eval().requires_grad_(False), decoder.eval().requires_grad_(False)
