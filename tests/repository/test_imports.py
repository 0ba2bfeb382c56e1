"""Who may import whom: the client stays thin and the science knows no server."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "photoreal"
PIPELINE = sorted((SOURCE / "pipeline").glob("*.py"))
SCIENCE = sorted({*SOURCE.rglob("*.py")} - {SOURCE / "cli.py", SOURCE / "__init__.py", *PIPELINE})
PREPROCESS = sorted((ROOT / "preprocess").glob("*.py"))
CLIENT = sorted((ROOT / "client").rglob("*.py"))
TRAIN = sorted((ROOT / "train").glob("*.py"))

# Triton's module exists in its Python backend alone; a stand-in is enough to import adapters.
STAND_IN = "import sys, types; sys.modules['triton_python_backend_utils'] = types.ModuleType('t');"


def _loaded(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def _adapter(name: str) -> str:
    path = str(ROOT / "model_repository" / name / "1" / "model.py")
    return f"{STAND_IN} import runpy; runpy.run_path({path!r})"


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        (
            "import photoreal.client",
            {"torch", "onnx", "onnxruntime", "onnxscript", "pytriton", "scipy", "av"},
        ),
        (
            "import photoreal.client.video.command",
            {"torch", "onnx", "onnxruntime", "pytriton", "scipy"},
        ),
        ("import photoreal", {"torch", "tritonclient", "numpy", "PIL", "click"}),
        ("import photoreal.cli", {"torch", "onnx", "onnxruntime", "tritonclient", "numpy"}),
        (
            "import photoreal.client.command",
            {"torch", "onnx", "onnxruntime", "pytriton", "fastapi"},
        ),
        ("import photoreal.client.web.command", {"torch", "onnx", "onnxruntime", "pytriton"}),
        (
            "import photoreal.transfer, photoreal.segmenter, photoreal.weights.networks",
            {"tritonclient", "onnx", "onnxruntime", "click", "pytriton"},
        ),
        ("import photoreal.preprocess", {"torch", "tritonclient", "onnx", "onnxruntime", "click"}),
        ("import photoreal.contract, photoreal.errors", {"torch", "numpy", "PIL", "click"}),
        (
            "from photoreal import Pipeline",
            {"onnx", "onnxruntime", "click", "pytriton", "prometheus_client", "psutil", "fastapi"},
        ),
        (_adapter("stylize"), {"torch", "tritonclient", "onnx", "onnxruntime", "click"}),
        (_adapter("wct2"), {"tritonclient", "onnx", "onnxruntime", "click"}),
    ],
    ids=[
        "client",
        "video command",
        "package",
        "cli",
        "stylize command",
        "web command",
        "science",
        "preprocess",
        "contract",
        "pipeline",
        "stylize",
        "wct2",
    ],
)
def test_importing_loads_only_what_is_needed(code: str, forbidden: set[str]) -> None:
    assert not _loaded(code) & forbidden


def _imports(path: Path) -> Iterator[str]:
    """Modules that a file imports anywhere, inside functions as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _offending(files: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.name}: {name}"
        for path in files
        for name in _imports(path)
        if any(name == one or name.startswith(f"{one}.") for one in forbidden)
    ]


@pytest.mark.parametrize(
    ("files", "forbidden"),
    [
        pytest.param(
            SCIENCE,
            (
                "tritonclient",
                "onnx",
                "onnxruntime",
                "click",
                "argparse",
                "photoreal.preprocess",
                "photoreal.serve",
                "photoreal.export",
                "photoreal.client",
                "photoreal.train",
            ),
            id="science",
        ),
        pytest.param(
            PREPROCESS,
            ("torch", "tritonclient", "photoreal.serve", "photoreal.export", "photoreal.client"),
            id="preprocess",
        ),
        pytest.param(
            PIPELINE,
            ("tritonclient", "onnx", "onnxruntime", "click", "photoreal.export", "photoreal.train"),
            id="pipeline",
        ),
        pytest.param(
            CLIENT,
            ("torch", "onnx", "onnxruntime", "photoreal.export", "photoreal.train"),
            id="client",
        ),
        pytest.param(
            TRAIN,
            (
                "tritonclient",
                "onnx",
                "onnxruntime",
                "scipy",
                "photoreal.serve",
                "photoreal.export",
                "photoreal.client",
            ),
            id="train",
        ),
    ],
)
def test_no_file_looks_the_wrong_way(files: list[Path], forbidden: tuple[str, ...]) -> None:
    assert files
    assert not _offending(files, forbidden)
