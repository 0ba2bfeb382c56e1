"""Which of a repository's models a server loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.export.acceleration import Acceleration
from photoreal.export.configs import ExportTarget, model_configs
from photoreal.serve.backend.adapter import is_exported
from photoreal.serve.launch.repository import engines_side, link_models, models_to_load

Export = Callable[..., None]
LEVELS = [spec.name for spec in contract.network_levels()]


@pytest.mark.parametrize("engine", [None, "local"])
def test_local_engine_needs_no_network_level(
    engine: str | None, repository: Path, export: Export
) -> None:
    export(*LEVELS)
    assert models_to_load(repository, engine) == ["stylize", "wct2", "cancel"]


@pytest.mark.parametrize("kind", ["onnx", "plan"])
def test_segmenter_is_loaded_where_it_is_exported(
    kind: str, repository: Path, export: Export
) -> None:
    assert not is_exported(repository, "segmenter")
    export("segmenter", kind=kind)
    assert models_to_load(repository, "local") == ["stylize", "wct2", "cancel", "segmenter"]


@pytest.mark.parametrize("kind", ["onnx", "plan"])
def test_bls_engine_needs_every_level(kind: str, repository: Path, export: Export) -> None:
    export(*LEVELS, kind=kind)
    assert models_to_load(repository, "bls") == ["stylize", "wct2", "cancel", *LEVELS]


@pytest.mark.parametrize("by", ["config", "environment"])
def test_bls_engine_may_be_the_config_s_or_the_environment_s_choice(
    by: str, repository: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "config":
        config = repository / "wct2" / "config.pbtxt"
        config.write_text(config.read_text().replace('"local"', '"bls"'))
    else:
        monkeypatch.setenv(contract.ENGINE_VARIABLE, "bls")
    export(*LEVELS)
    assert models_to_load(repository, None) == ["stylize", "wct2", "cancel", *LEVELS]
    assert models_to_load(repository, "local") == ["stylize", "wct2", "cancel"]


def test_levels_that_the_bls_engine_lacks_are_named(repository: Path, export: Export) -> None:
    export(*LEVELS[:-2])
    words = rf"not been exported \({LEVELS[-2]}, {LEVELS[-1]}\); .*photoreal export --repository"
    with pytest.raises(ServeError, match=words):
        models_to_load(repository, "bls")


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"no model repository in .*photoreal export"):
        models_to_load(tmp_path, None)


def test_a_repository_is_linked_from_a_folder_with_a_plainer_path(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "notes").mkdir()
    odd = repository.rename(tmp_path / "größer & schöner")
    (tmp_path / "run").mkdir()
    linked = link_models(odd, tmp_path / "run")
    assert linked == tmp_path / "run" / "repository"
    assert {path.name for path in linked.iterdir()} == set(model_configs())
    for name, config in model_configs().items():
        assert (linked / name / "config.pbtxt").read_text() == config


@pytest.mark.parametrize("how", ["onnxruntime", "plans", "neither"])
def test_the_side_that_engines_serve_is_in_the_repository(how: str, repository: Path) -> None:
    target = {
        "onnxruntime": ExportTarget(gpu=True, acceleration=Acceleration(), max_side=1024),
        "plans": ExportTarget(gpu=True, tensorrt=True, max_side=1024),
        "neither": ExportTarget(gpu=True),
    }[how]
    config = model_configs(target=target)["wct2"]
    (repository / "wct2" / "config.pbtxt").write_text(config)
    assert engines_side(repository, ["wct2", *LEVELS]) == (None if how == "neither" else 1024)
    assert engines_side(repository, ["wct2"]) is None  # the local engine has no engines
