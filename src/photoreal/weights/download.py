"""Download of published weights: verified, cached and atomic.

If the sha256 of a published file is not in the manifest, it is recorded at the first download and
verified at every later use.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from rich.progress import Progress

from photoreal.errors import WeightsError
from photoreal.weights.manifest import WeightFile, WeightSet

_TIMEOUT_S = 60.0
_CHUNK_BYTES = 1 << 20
_ELSEWHERE = "set PHOTOREAL_CACHE to a folder that can be written to"


def cache_folder() -> Path:
    """Folder for downloads: PHOTOREAL_CACHE, or the user's cache folder.

    Raises WeightsError for a user without a home directory, as in some containers.
    """
    chosen = os.environ.get("PHOTOREAL_CACHE")
    if chosen:
        return Path(chosen)
    usual = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(usual) if usual else Path.home() / ".cache") / "photoreal"
    except RuntimeError:
        raise WeightsError(f"This user has no home folder for downloads; {_ELSEWHERE}.") from None


def fetch(weights: WeightSet, folder: Path | None = None, *, progress: bool = True) -> Path:
    """Download the missing files of a published set and return their folder.

    Raises WeightsError when a download fails or a file does not match its recorded sha256.
    """
    target = (folder or cache_folder()) / weights.name
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"The folder {target} for downloads cannot be created ({error.strerror}); {_ELSEWHERE}."
        ) from error
    for file in weights.files:
        path = target / file.name
        if not path.exists():
            _download(file, path, progress=progress)
        _check(file, path)
    return target


def _download(file: WeightFile, path: Path, *, progress: bool) -> None:
    aside = path.with_name(f".{path.name}.part")
    try:
        with urlopen(file.url, timeout=_TIMEOUT_S) as response:  # noqa: S310 (URL from the manifest)
            length = int(response.headers.get("Content-Length") or 0) or None
            with Progress(disable=not progress) as bar, aside.open("wb") as stream:
                task = bar.add_task(file.name, total=length)
                while chunk := response.read(_CHUNK_BYTES):
                    stream.write(chunk)
                    bar.advance(task, len(chunk))
        if length is not None and aside.stat().st_size != length:
            raise HTTPException(f"{aside.stat().st_size} of {length} bytes received")
        aside.replace(path)
    except (OSError, HTTPException, ValueError) as error:
        raise WeightsError(
            f"{file.name} could not be downloaded from {file.url} ({error}); download it"
            " manually and pass its folder instead."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _check(file: WeightFile, path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    found = digest.hexdigest()
    record = path.with_name(path.name + ".sha256")
    expected = file.sha256 or (record.read_text().strip() if record.exists() else None)
    if expected is None:
        with suppress(OSError):  # a read-only folder does not change anyway
            record.write_text(found + "\n")
    elif found != expected:
        raise WeightsError(
            f"{file.name} has the sha256 {found[:16]}..., expected {expected[:16]}...; delete the"
            f" file and its record in {path.parent} to download it again."
        )
