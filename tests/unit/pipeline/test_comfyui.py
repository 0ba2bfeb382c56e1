"""The node for ComfyUI, loaded and called as ComfyUI does."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from photoreal import Pipeline

FOLDER = Path(__file__).parents[3] / "integrations" / "comfyui"
NAME = "PhotorealStyleTransfer"
SIZE = 16


@pytest.fixture(scope="module")
def nodes() -> Iterator[ModuleType]:
    """The folder as a module of the name that ComfyUI gives it: its path."""
    name = str(FOLDER).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, FOLDER / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    for loaded in [one for one in sys.modules if one.startswith(name)]:
        del sys.modules[loaded]


@pytest.fixture(scope="module")
def pipeline(few_channels: None) -> Pipeline:
    return Pipeline(device="cpu", segmenter=None)


@pytest.fixture
def run(nodes: ModuleType, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Executes the node: an instance, its function by name, every input by keyword."""
    node = nodes.NODE_CLASS_MAPPINGS[NAME]
    monkeypatch.setattr(sys.modules[node.__module__], "_pipeline", lambda: pipeline)

    def execute(**inputs: Any) -> torch.Tensor:
        inputs = {"method": "wct2", "strength": 1.0, "size": SIZE, **inputs}
        outputs = getattr(node(), node.FUNCTION)(**inputs)
        assert len(outputs) == len(node.RETURN_TYPES) == 1
        pictures: torch.Tensor = outputs[0]
        assert pictures.dtype == torch.float32
        assert 0 <= pictures.min() < pictures.max() <= 1
        return pictures

    return execute


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand((*shape, 3), generator=torch.Generator().manual_seed(seed))


def pixels(picture: torch.Tensor) -> Any:
    return (picture * 255).round().numpy().astype(np.uint8)


def test_a_batch_is_what_the_pipeline_makes_of_each(run: Any, pipeline: Pipeline) -> None:
    images, references = pictures(2, 20, 24), pictures(2, 18, 16, seed=1)
    for given, theirs in ((references[:1], [0, 0]), (references, [0, 1])):
        found = run(image=images, reference=given, strength=0.5)
        assert found.shape == images.shape
        for image, index, result in zip(images, theirs, found, strict=True):
            reference = pixels(references[index])
            wanted = pipeline.stylize(pixels(image), reference, size=SIZE, alpha=0.5)
            assert np.array_equal(pixels(result), np.asarray(wanted.image))
    with pytest.raises(ValueError, match="2 reference images for 3 images; expected 1 or 3"):
        run(image=pictures(3, 16, 16), reference=references)


def test_masks_are_two_regions(run: Any) -> None:
    image, reference = pictures(1, 32, 32), pictures(1, 32, 32, seed=1)
    reference[:, :, :16] *= torch.tensor([1.0, 0.1, 0.1])  # red on the left
    reference[:, :, 16:] *= torch.tensor([0.1, 0.1, 1.0])  # and blue on the right
    left = torch.zeros(1, 8, 8)  # of another size, as ComfyUI's masks may be
    left[:, :, :4] = 1
    for ours, red, blue in ((left, slice(12), slice(20, 32)), (1 - left, slice(20, 32), slice(12))):
        masks = {"image_mask": ours, "reference_mask": left}
        found = run(image=image, reference=reference, method="color", **masks)[0]
        assert found[:, red, 0].mean() > 1.5 * found[:, red, 2].mean()
        assert found[:, blue, 2].mean() > 1.5 * found[:, blue, 0].mean()
    with pytest.raises(ValueError, match="There is one mask"):
        run(image=image, reference=reference, image_mask=left)


def test_published_keeps_the_image_s_size(run: Any) -> None:
    image = pictures(1, 24, 40)
    assert run(image=image, reference=image, method="published").shape == image.shape


def test_the_workflow_fits_the_node(nodes: ModuleType) -> None:
    workflow = json.loads((FOLDER / "workflow.json").read_text())
    (inputs,) = (one["inputs"] for one in workflow.values() if one["class_type"] == NAME)
    taken = nodes.NODE_CLASS_MAPPINGS[NAME].INPUT_TYPES()
    assert set(inputs) == set(taken["required"])
    for name, (kind, *details) in taken["required"].items():
        if isinstance(kind, list):
            assert inputs[name] in kind
        elif kind != "IMAGE":
            assert details[0]["min"] <= inputs[name] <= details[0]["max"]
            assert inputs[name] == details[0]["default"]
    assert set(nodes.NODE_DISPLAY_NAME_MAPPINGS) == set(nodes.NODE_CLASS_MAPPINGS)
