"""Networks with their parameters in place, by the name of a set or from a folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from photoreal import classes
from photoreal.contract import UNPOOLS, Unpool
from photoreal.errors import WeightsError
from photoreal.segmenter import Segmenter
from photoreal.vgg import Decoder, Encoder
from photoreal.weights import manifest
from photoreal.weights.builtin import builtin_parameters
from photoreal.weights.checkpoint import load_parameters, read_checkpoint
from photoreal.weights.download import fetch

BUILTIN = "builtin"
DEFAULT_SEGMENTER = "default"
CLASSES_FILE = "classes.txt"
_DEFAULT_FOLDER = Path(__file__).parent / "segmenter"


def load_wct2(weights: str | Path = BUILTIN, unpool: Unpool = "cat5") -> tuple[Encoder, Decoder]:
    """Encoder and decoder, ready for inference.

    `weights` is "builtin" (computed), "wct2" (published, downloaded once) or a folder with
    files under the published names. Raises WeightsError when something does not fit.
    """
    if unpool not in UNPOOLS:
        raise WeightsError(f"Unpooling {unpool!r} is not known; expected {' or '.join(UNPOOLS)}.")
    if weights == BUILTIN:
        encoder_parameters, decoder_parameters = builtin_parameters(unpool)
        sources = ("The built-in encoder", "The built-in decoder")
    else:
        folder = fetch(manifest.WCT2) if weights == manifest.WCT2.name else _folder(weights)
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
    path.write_bytes(stream.getbuffer())  # whose errors, unlike torch's, tell of a full disk


def load_bundle(path: Path) -> tuple[Encoder, Decoder]:
    """Networks that `save_bundle` wrote; the way of unpooling shows in the names."""
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


def load_segmenter(weights: str | Path) -> tuple[Segmenter, tuple[str, ...]]:
    """A segmenter, ready for inference, and its class names.

    `weights` is "default" (the project's own), "ade20k" (published, downloaded once) or a
    folder with files under the published names; width and number of classes are read from
    them. A folder with other than ADE20K's 150 classes names its own in classes.txt, one a
    line. Raises WeightsError.
    """
    if weights == DEFAULT_SEGMENTER:
        folder = _DEFAULT_FOLDER
    else:
        folder = fetch(manifest.ADE20K) if weights == manifest.ADE20K.name else _folder(weights)
    encoder, decoder = (read_checkpoint(folder / name) for name in manifest.SEGMENTER_FILES)
    try:
        width = encoder["conv1.weight"].shape[0]
        count = decoder["conv_last.4.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise WeightsError(
            "The segmenter's checkpoints have no conv1.weight or conv_last.4.weight; expected a"
            " dilated ResNet50 with pyramid pooling."
        ) from error
    segmenter = Segmenter(width, count)
    load_parameters(segmenter.encoder, encoder, manifest.SEGMENTER_FILES[0])
    load_parameters(segmenter.decoder, decoder, manifest.SEGMENTER_FILES[1])
    return segmenter.eval().requires_grad_(False), _class_names(folder, count)


def save_segmenter(folder: Path, segmenter: Segmenter, names: Sequence[str]) -> None:
    """Write a segmenter in half precision, as a folder for `load_segmenter`."""
    folder.mkdir(parents=True, exist_ok=True)
    networks = (segmenter.encoder, segmenter.decoder)
    for file, network in zip(manifest.SEGMENTER_FILES, networks, strict=True):
        state = {
            name: value.detach().cpu().half()
            for name, value in network.state_dict().items()
            if value.is_floating_point()
        }
        torch.save(state, folder / file)
    (folder / CLASSES_FILE).write_text("\n".join(names) + "\n")


def _class_names(folder: Path, count: int) -> tuple[str, ...]:
    listing = folder / CLASSES_FILE
    names = classes.ADE20K
    if listing.exists():
        names = tuple(line.strip() for line in listing.read_text().splitlines() if line.strip())
    if len(names) != count:
        raise WeightsError(
            f"The segmenter has {count} classes but {len(names)} names are known; expected one"
            " name a line in classes.txt beside its files."
        )
    classes.group_table(names)  # every class must belong to a group
    return names


def _folder(weights: str | Path) -> Path:
    folder = Path(weights)
    if not folder.is_dir():
        raise WeightsError(f"There is no weight set or folder {str(weights)!r}.")
    return folder
