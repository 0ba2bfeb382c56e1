"""Loading and saving of segmenters: the default one, the published one, and trained ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from photoreal.errors import WeightsError
from photoreal.networks.segmenter import Segmenter
from photoreal.regions import classes
from photoreal.weights import manifest
from photoreal.weights.checkpoint import existing_folder, load_parameters, read_checkpoint
from photoreal.weights.download import fetch
from photoreal.weights.segmenter_file import About, read_segmenter_file, write_segmenter_file

DEFAULT_SEGMENTER = "default"
SEGMENTER_FILE = "segmenter.safetensors"
"""Name of the file that `save_segmenter` writes."""
CLASSES_FILE = "classes.txt"
_SUFFIX = Path(SEGMENTER_FILE).suffix


def load_segmenter(weights: str | Path) -> tuple[Segmenter, tuple[str, ...]]:
    """Load a segmenter, ready for inference, and its class names.

    `weights` is "default" (the project's own), "ade20k" (published, downloaded once), a file
    of `save_segmenter` or its folder, or a folder with files of the published names. Width and
    number of classes are read from the files. A folder of published files with classes other than
    the 150 of ADE20K lists its own in classes.txt, one per line. Raises WeightsError.
    """
    file = _own_file(weights)
    if file is not None:
        state, about = read_segmenter_file(file)
        encoder, decoder = (
            {name.removeprefix(part): v for name, v in state.items() if name.startswith(part)}
            for part in ("encoder.", "decoder.")
        )
        segmenter = _assemble(encoder, decoder, (file.name, file.name))
        segmenter.temperature = about.temperature
        names = about.classes
    else:
        published = weights == manifest.ADE20K.name
        folder = fetch(manifest.ADE20K) if published else existing_folder(weights)
        encoder, decoder = (read_checkpoint(folder / name) for name in manifest.SEGMENTER_FILES)
        segmenter = _assemble(encoder, decoder, manifest.SEGMENTER_FILES)
        names = _listed_names(folder)
    _check_names(names, segmenter)
    return segmenter, names


def save_segmenter(
    folder: Path,
    segmenter: Segmenter,
    names: Sequence[str],
    *,
    terms: str = "",
    sources: Sequence[dict[str, str]] = (),
) -> Path:
    """Write a segmenter into a folder for `load_segmenter`; returns the path of the file.

    `terms` and `sources` describe its training data (`About`). Raises WeightsError, before
    anything is written, for values that are not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SEGMENTER_FILE
    about = About(tuple(names), segmenter.temperature, terms, tuple(sources))
    write_segmenter_file(path, segmenter.state_dict(), about)
    return path


def segmenter_terms(weights: str | Path) -> str:
    """Return the terms of use of a segmenter's weights, "" if unknown.

    `weights` is as for `load_segmenter`. Raises WeightsError.
    """
    if weights == manifest.ADE20K.name:
        return manifest.ADE20K.licence
    file = _own_file(weights)
    return "" if file is None else read_segmenter_file(file)[1].terms


def _own_file(weights: str | Path) -> Path | None:
    """Path of the `save_segmenter` file that `weights` refers to, or None."""
    own = Path(__file__).parent / "segmenter"
    path = own if weights == DEFAULT_SEGMENTER else Path(weights)
    if path.suffix == _SUFFIX and path.is_file():
        return path
    return path / SEGMENTER_FILE if (path / SEGMENTER_FILE).is_file() else None


def _assemble(
    encoder: Mapping[str, Tensor], decoder: Mapping[str, Tensor], sources: Sequence[str]
) -> Segmenter:
    try:
        width = encoder["conv1.weight"].shape[0]
        count = decoder["conv_last.4.weight"].shape[0]
    except (KeyError, IndexError) as error:
        raise WeightsError(
            "The segmenter's checkpoints have no conv1.weight or conv_last.4.weight; expected a"
            " dilated ResNet50 with pyramid pooling."
        ) from error
    segmenter = Segmenter(width, count)
    load_parameters(segmenter.encoder, encoder, sources[0])
    load_parameters(segmenter.decoder, decoder, sources[1])
    return segmenter.eval().requires_grad_(False)


def _listed_names(folder: Path) -> tuple[str, ...]:
    """Class names for published files: those in classes.txt, or ADE20K's."""
    listing = folder / CLASSES_FILE
    if not listing.exists():
        return classes.ADE20K
    return tuple(line.strip() for line in listing.read_text().splitlines() if line.strip())


def _check_names(names: Sequence[str], segmenter: Segmenter) -> None:
    count = segmenter.decoder.conv_last_deepsup.out_channels
    if len(names) != count:
        raise WeightsError(
            f"The segmenter has {count} classes but {len(names)} names are known; expected one"
            f" name a line in {CLASSES_FILE} beside its files."
        )
    classes.group_table(names)  # every class must belong to a group
