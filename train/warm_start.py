"""Warm start: initialize a training run with the weights of another segmenter."""

from __future__ import annotations

from collections.abc import Sequence

from photoreal.errors import TrainingError
from photoreal.networks.segmenter import Segmenter
from photoreal.train.tables import CLASSES

_LAST_LAYERS = ("decoder.conv_last.4.", "decoder.conv_last_deepsup.")


def take_over(network: Segmenter, origin: Segmenter, names: Sequence[str]) -> None:
    """Copy the weights of another segmenter, whose classes are `names`, into `network`.

    The rows of the last layers follow their class; those of classes that the origin lacks stay
    as they are. Raises TrainingError for another width.
    """
    ours, theirs = network.state_dict(), origin.state_dict()
    rows = [(CLASSES.index(name), row) for row, name in enumerate(names) if name in CLASSES]
    for name, value in ours.items():
        if name.startswith(_LAST_LAYERS):
            for row, its_row in rows:
                value[row] = theirs[name][its_row]
        elif value.shape != theirs[name].shape:
            raise TrainingError(
                f"The segmenter to begin with has a width of {len(theirs['encoder.bn1.weight'])};"
                f" expected that of the settings, {len(ours['encoder.bn1.weight'])}."
            )
        else:
            value.copy_(theirs[name])
