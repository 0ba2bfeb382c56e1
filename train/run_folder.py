"""Files of a training run on disk, for resuming it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from photoreal.errors import TrainingError
from photoreal.train.settings import Settings

SETTINGS_FILE = "settings.json"
PHOTOS_FILE = "photos.json"
CHECKPOINT_FILE = "checkpoint.pt"
LOG_FILE = "log.jsonl"


class RunFolder:
    """The folder of one run: settings, names of the photos, checkpoint and log."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, settings: Settings, photos: Sequence[str]) -> None:
        """Write down what the run depends on.

        Raises TrainingError when the folder holds a run already.
        """
        if (self.path / CHECKPOINT_FILE).exists() or (self.path / SETTINGS_FILE).exists():
            raise TrainingError(
                f"{self.path} holds a training already; resume it or name an empty folder."
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_settings(settings)
        (self.path / PHOTOS_FILE).write_text(json.dumps(photos, indent=0) + "\n")

    def resume(self, settings: Settings, photos: Sequence[str]) -> dict[str, Any]:
        """The checkpoint, with its tensors on the CPU.

        Raises TrainingError when there is none, when a file is damaged, or when the run began with
        other photos or, but for the stages' steps, other settings.
        """
        state = self._checkpoint()
        if self._photos() != list(photos):
            raise TrainingError(
                "The photos are not those that the training began with; its list is in"
                f" {PHOTOS_FILE}."
            )
        self._check_settings(settings)
        return state

    def write_settings(self, settings: Settings) -> None:
        """Write down the settings, which a later run in this folder takes unless told otherwise."""
        (self.path / SETTINGS_FILE).write_text(settings.to_json())

    def save(self, state: dict[str, Any], line: dict[str, Any]) -> None:
        """Replace the checkpoint atomically and append a line to the log."""
        aside = self.path / f"{CHECKPOINT_FILE}.new"
        torch.save(state, aside)
        aside.replace(self.path / CHECKPOINT_FILE)
        with (self.path / LOG_FILE).open("a") as log:
            log.write(json.dumps(line) + "\n")

    def damaged(self, file: str) -> TrainingError:
        """Return the error for a damaged file."""
        return TrainingError(
            f"The training's {file} is damaged; restore it from a backup, or start over in an"
            " empty folder."
        )

    def _checkpoint(self) -> dict[str, Any]:
        try:
            state = torch.load(self.path / CHECKPOINT_FILE, map_location="cpu", weights_only=True)
        except OSError as error:
            raise self._nothing() from error
        except Exception as error:  # the unpickler raises whatever damaged bytes lead it to
            raise self.damaged(CHECKPOINT_FILE) from error
        if not isinstance(state, dict):
            raise self.damaged(CHECKPOINT_FILE)
        return state

    def _photos(self) -> list[Any]:
        try:
            names = json.loads((self.path / PHOTOS_FILE).read_text())
        except OSError as error:
            raise self._nothing() from error
        except ValueError as error:
            raise self.damaged(PHOTOS_FILE) from error
        if not isinstance(names, list):
            raise self.damaged(PHOTOS_FILE)
        return names

    def _check_settings(self, settings: Settings) -> None:
        found = settings.differences(Settings.read(self.path / SETTINGS_FILE))
        if found:
            raise TrainingError(
                f"The training began with {'; '.join(found)}; expected the same"
                " settings, of which only the steps of the stages may change."
            )

    def _nothing(self) -> TrainingError:
        return TrainingError(f"{self.path} contains no training to resume.")
