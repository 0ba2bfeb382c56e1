"""Downloads of published weights: checked, remembered, and never left half done.

The sha256 of a published file that is not known beforehand is recorded at its first download
and checked at every later use.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.error import URLError

from torch.hub import download_url_to_file

from photoreal.errors import WeightsError
from photoreal.weights.manifest import WeightFile, WeightSet


def cache_folder() -> Path:
    """Where downloads are kept: PHOTOREAL_CACHE, or the user's cache folder."""
    chosen = os.environ.get("PHOTOREAL_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "photoreal"


def fetch(weights: WeightSet, folder: Path | None = None, *, progress: bool = True) -> Path:
    """Folder that holds every file of a published set, downloading what is not there yet.

    Raises WeightsError when a file cannot be had or is not the one that was recorded.
    """
    target = (folder or cache_folder()) / weights.name
    target.mkdir(parents=True, exist_ok=True)
    for file in weights.files:
        path = target / file.name
        if not path.exists():
            _download(file, path, progress=progress)
        _check(file, path)
    return target


def _download(file: WeightFile, path: Path, *, progress: bool) -> None:
    try:
        # Writes aside and renames: an interrupted download leaves no file of this name.
        download_url_to_file(file.url, str(path), progress=progress)
    except (URLError, OSError) as error:
        raise WeightsError(
            f"{file.name} could not be downloaded from {file.url} ({error}); fetch it by hand and"
            " give its folder instead."
        ) from error


def _check(file: WeightFile, path: Path) -> None:
    with path.open("rb") as stream:
        found = (
            hashlib.file_digest(stream, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else hashlib.sha256(stream.read()).hexdigest()
        )
    record = path.with_name(path.name + ".sha256")
    expected = file.sha256 or (record.read_text().strip() if record.exists() else None)
    if expected is None:
        record.write_text(found + "\n")
    elif found != expected:
        raise WeightsError(
            f"{file.name} has the sha256 {found[:16]}..., expected {expected[:16]}...; delete the"
            f" file and its record in {path.parent} to download it again."
        )
