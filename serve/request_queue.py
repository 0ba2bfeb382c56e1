"""The queue of `stylize`, which Triton keeps: how many may wait in it, and how long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from photoreal.contract import STYLIZE
from photoreal.errors import ServeError
from photoreal.serve.limits import QUEUE, SECONDS

CONFIG = "config.pbtxt"


def with_queue(repository: Path, folder: Path, limits: Mapping[str, str]) -> Path:
    """A repository in `folder` that leads to the given one, with a queue as the limits say.

    Triton takes the numbers from a model's config alone, which stays as it is. The folder's path
    may be plainer than the repository's. Raises ServeError.
    """
    length, seconds = QUEUE.number(limits), SECONDS.number(limits)
    text = (repository / STYLIZE.name / CONFIG).read_text()
    try:
        config = text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        raise ServeError(
            f"The config of {STYLIZE.name} in {repository} cannot be read; make it anew with:"
            f" photoreal export --repository {repository}"
        ) from error
    policy = config.dynamic_batching.default_queue_policy
    policy.max_queue_size = length
    policy.default_timeout_microseconds = seconds * 10**6
    policy.allow_timeout_override = True
    policy.timeout_action = policy.REJECT
    overlay = folder / "repository"
    overlay.mkdir(parents=True)
    for model in repository.resolve().iterdir():
        if (model / CONFIG).exists() and model.name != STYLIZE.name:
            (overlay / model.name).symlink_to(model)
    own = overlay / STYLIZE.name
    own.mkdir()
    for entry in (repository.resolve() / STYLIZE.name).iterdir():
        if entry.name != CONFIG:
            (own / entry.name).symlink_to(entry)
    (own / CONFIG).write_text(text_format.MessageToString(config))
    return overlay
