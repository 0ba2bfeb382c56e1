"""Contents of a model repository: the models to load, their engine, backends and devices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.json_format import MessageToJson
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.serve.backend.adapter import engine_name, is_exported


def link_models(repository: Path, folder: Path) -> Path:
    """Create a repository in `folder` of links to the models of the given one.

    This gives Triton a plain path even if the path of the given repository is not plain.
    """
    linked = folder / "repository"
    linked.mkdir()
    for model in repository.resolve().iterdir():
        if (model / "config.pbtxt").exists():
            (linked / model.name).symlink_to(model)
    return linked


def models_to_load(repository: Path, engine: str | None) -> list[str]:
    """Return the models that the engine needs and the repository has; raises ServeError.

    The network levels are separate processes, which the "local" engine does not use.
    """
    if not (repository / contract.STYLIZE.name / "config.pbtxt").exists():
        raise ServeError(
            f"There is no model repository in {repository}; create one with: photoreal export"
            f" --repository {repository}"
        )
    wanted = [contract.STYLIZE.name, contract.WCT2.name]
    if (repository / contract.CANCEL.name / "config.pbtxt").exists():
        wanted.append(contract.CANCEL.name)
    if is_exported(repository, contract.SEGMENTER.name):
        wanted.append(contract.SEGMENTER.name)
    if (engine or configured_engine(repository)) == "bls":
        levels = [spec.name for spec in contract.network_levels()]
        lacking = [name for name in levels if not is_exported(repository, name)]
        if lacking:
            raise ServeError(
                "The bls engine requires models that have not been exported"
                f" ({', '.join(lacking)}); export them with: photoreal export --repository"
                f" {repository}"
            )
        wanted += levels
    return wanted


def configured_engine(repository: Path) -> str:
    """Return the engine that `wct2` uses by default: the environment's or else its config's.

    Raises ServeError if the engine is unknown or the config cannot be read.
    """
    config = _read_config(repository, contract.WCT2.name)
    return engine_name(MessageToJson(config, preserving_proto_field_name=True))


def configured_backends(repository: Path, models: Iterable[str]) -> dict[str, str]:
    """Return the backend of each model, by model name; raises ServeError."""
    return {name: str(_read_config(repository, name).backend) for name in models}


def engines_side(repository: Path, models: Iterable[str]) -> int | None:
    """Return the longest side in pixels that the models' TensorRT engines accept.

    None if there are no such engines. Raises ServeError if a config cannot be read.
    """
    if contract.network_levels()[0].name not in models:
        return None
    parameters = _read_config(repository, contract.WCT2.name).parameters
    side = parameters[contract.MAX_SIDE_PARAMETER].string_value
    return int(side) if side.isdecimal() else None


def models_on_gpu(repository: Path, models: Iterable[str]) -> list[str]:
    """Return the models that require a GPU; raises ServeError."""
    kind = ModelInstanceGroup.KIND_GPU
    return [
        name
        for name in models
        if any(group.kind == kind for group in _read_config(repository, name).instance_group)
    ]


def _read_config(repository: Path, name: str) -> Any:
    try:
        text = (repository / name / "config.pbtxt").read_text()
        return text_format.Parse(text, ModelConfig())
    except (OSError, text_format.ParseError) as error:
        raise ServeError(
            f"The config of {name} in {repository} cannot be read; recreate it with:"
            f" photoreal export --repository {repository}"
        ) from error
