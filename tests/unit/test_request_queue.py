"""The repository with another queue than its config's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from photoreal.errors import ServeError
from photoreal.export.configs import model_configs
from photoreal.serve.request_queue import with_queue


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name, text in model_configs().items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(text)
        (folder / name / "1" / "model.py").write_text(name)
    (folder / "notes").mkdir()
    return folder


def _config(repository: Path, name: str) -> Any:
    return text_format.Parse((repository / name / "config.pbtxt").read_text(), ModelConfig())


def test_a_repository_is_always_served_from_the_folder(repository: Path, tmp_path: Path) -> None:
    odd = repository.rename(tmp_path / "größer & schöner")
    served = with_queue(odd, tmp_path / "run", {})
    assert served == tmp_path / "run" / "repository"
    for name in model_configs():
        assert (served / name / "1" / "model.py").read_text() == name


def test_another_queue_leaves_the_given_repository_alone(repository: Path, tmp_path: Path) -> None:
    before = (repository / "stylize" / "config.pbtxt").read_text()
    limits = {"PHOTOREAL_MAX_QUEUE": "3", "PHOTOREAL_MAX_SECONDS": "20"}
    served = with_queue(repository, tmp_path / "run", limits)
    assert (repository / "stylize" / "config.pbtxt").read_text() == before
    assert {path.name for path in served.iterdir()} == set(model_configs())
    for name in model_configs():
        assert (served / name / "1" / "model.py").read_text() == name
        changed = _config(served, name)
        policy = changed.dynamic_batching.default_queue_policy
        if name == "stylize":
            assert policy.max_queue_size == 3
            assert policy.default_timeout_microseconds == 20_000_000
            policy.max_queue_size, policy.default_timeout_microseconds = 16, 600_000_000
        assert changed == _config(repository, name)


def test_a_config_without_a_queue_gets_one(repository: Path, tmp_path: Path) -> None:
    config = _config(repository, "stylize")
    config.ClearField("dynamic_batching")
    (repository / "stylize" / "config.pbtxt").write_text(text_format.MessageToString(config))
    served = with_queue(repository, tmp_path / "run", {})
    assert _config(served, "stylize").dynamic_batching.default_queue_policy.max_queue_size == 16


def test_a_config_that_cannot_be_read_is_refused(repository: Path, tmp_path: Path) -> None:
    (repository / "stylize" / "config.pbtxt").write_text("name: {")
    with pytest.raises(ServeError, match="make it anew with: photoreal export"):
        with_queue(repository, tmp_path, {})
