"""The adapter of `stylize` with the networks in its own process, here on the CPU."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import photoreal.serve.backend.engines  # noqa: F401 (binds require_cuda before it is patched)
from photoreal.pipeline.in_process import in_process_models
from photoreal.serve.backend import device, stylize_models
from photoreal.transfer.progressive import NetworkEngine
from photoreal.weights.networks import load_wct2
from photoreal.weights.segmenters import load_segmenter
from tests.kinds import Array, Start


@pytest.mark.parametrize("loaded", [True, False])
def test_networks_run_in_its_process(
    loaded: bool,
    start: Start,
    add_segmenter: Callable[[Sequence[str]], None],
    photos: dict[str, Array],
    triton: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A segmenter whose weights are missing is called as a model of the server."""
    segmenter, classes = load_segmenter("default")

    def models(*_: object) -> Any:
        engine = NetworkEngine(*load_wct2())
        return in_process_models(engine, segmenter if loaded else None, classes, device="cpu")

    def called(inputs: dict[str, Any]) -> dict[str, Any]:
        shares = np.full((1, len(classes), 2, 3), 1 / len(classes), dtype=np.float32)
        return {"PROBABILITIES": shares}

    triton.models["segmenter"] = called
    add_segmenter(classes)
    monkeypatch.setattr(stylize_models, "models_on_gpu", models)
    (response,) = start("stylize", DEVICE="cuda").execute([triton.Request(photos)])
    assert not response.has_error(), response.error().message()
    image = next(one for one in response.output_tensors() if one.name() == "IMAGE")
    assert Image.open(io.BytesIO(image.as_numpy()[0])).size == (24, 16)
    assert [name for name, _, _ in triton.calls] == ([] if loaded else ["segmenter"] * 2)


def test_a_segmenter_with_other_classes_is_not_the_default_one(tmp_path: Path) -> None:
    assert stylize_models.load_exported(tmp_path, ("sky", "tree")) is None


def test_the_default_networks_are_loaded(
    arguments: Callable[..., dict[str, str]], triton: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "require_cuda", lambda: None)
    given = arguments("stylize")
    repository = Path(given["model_repository"]).parent
    models = stylize_models.models_on_gpu(triton, given["model_config"], repository, ())
    assert models.segment is None
    assert models.transfer_soft is not None
    assert models.device is not None
