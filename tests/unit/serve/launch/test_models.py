"""Which of a repository's models a server loads."""

import pytest

from photoreal import contract
from photoreal.errors import ServeError
from photoreal.export.acceleration import Acceleration
from photoreal.export.configs import ExportTarget, model_configs
from photoreal.serve.backend.adapter import is_exported
from photoreal.serve.launch.repository import engines_side, link_models, models_to_load

from .conftest import ALWAYS, LEVELS


@pytest.mark.parametrize("kind", ["onnx", "plan"])
def test_the_engine_s_networks_and_the_segmenter_are_loaded(kind, repository, export):
    export(*LEVELS, kind=kind)
    assert not is_exported(repository, "segmenter")
    assert models_to_load(repository, None) == models_to_load(repository, "local") == ALWAYS
    assert models_to_load(repository, "bls") == [*ALWAYS, *LEVELS]
    export("segmenter", kind=kind)
    assert models_to_load(repository, "local") == [*ALWAYS, "segmenter"]


@pytest.mark.parametrize("by", ["config", "environment"])
def test_bls_is_chosen_by_the_config_or_the_environment(by, repository, export, monkeypatch):
    if by == "config":
        config = repository / "wct2" / "config.pbtxt"
        config.write_text(config.read_text().replace('"local"', '"bls"'))
    else:
        monkeypatch.setenv(contract.ENGINE_VARIABLE, "bls")
    export(*LEVELS)
    assert models_to_load(repository, None) == [*ALWAYS, *LEVELS]
    assert models_to_load(repository, "local") == ALWAYS


def test_what_is_missing_is_named(repository, export, tmp_path):
    export(*LEVELS[:-2])
    words = rf"\({LEVELS[-2]}, {LEVELS[-1]}\); .*photoreal export --repository"
    with pytest.raises(ServeError, match=words):
        models_to_load(repository, "bls")
    with pytest.raises(ServeError, match=r"no model repository in .*photoreal export"):
        models_to_load(tmp_path, None)


def test_a_repository_is_linked_from_a_folder_with_a_plainer_path(repository, tmp_path):
    (repository / "notes").mkdir()
    odd = repository.rename(tmp_path / "größer & schöner")
    (tmp_path / "run").mkdir()
    linked = link_models(odd, tmp_path / "run")
    assert linked == tmp_path / "run" / "repository"
    configs = {path.name: (path / "config.pbtxt").read_text() for path in linked.iterdir()}
    assert configs == model_configs()


@pytest.mark.parametrize(
    ("target", "side"),
    [
        (ExportTarget(gpu=True, acceleration=Acceleration(), max_side=1024), 1024),
        (ExportTarget(gpu=True, tensorrt=True, max_side=1024), 1024),
        (ExportTarget(gpu=True), None),
    ],
)
def test_the_side_that_engines_serve_is_in_the_repository(target, side, repository, configure):
    configure("cat5", target)
    assert engines_side(repository, ["wct2", *LEVELS]) == side
    assert engines_side(repository, ["wct2"]) is None  # the local engine has no engines
