"""No file is read in a way that could run code in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "src",
    "preprocess",
    "export",
    "serve",
    "client",
    "train",
    "model_repository",
    "benchmarks",
    "examples",
)
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
CODE_CARRIERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
LOADERS = {"torch.load": ("weights_only", True), "numpy.load": ("allow_pickle", False)}


def _offences(source: str) -> Iterator[str]:
    """What in a source could unpickle; names are followed through plain imports alone."""
    aliases: dict[str, str] = {}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            aliases |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
    for name in aliases.values():
        if name.split(".")[0] in CODE_CARRIERS:
            yield f"imports {name}"
        if name in ("torch.jit", "torch.jit.load", "torch.package"):
            yield f"imports {name}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, _, rest = ast.unparse(node.func).partition(".")
        called = ".".join(filter(None, (aliases.get(head, head), rest)))
        if called in ("eval", "exec", "torch.jit.load", "torch.hub.load"):
            yield f"line {node.lineno} calls {called}"
        if called in LOADERS:
            option, safe = LOADERS[called]
            values = [ast.unparse(one.value) for one in node.keywords if one.arg == option]
            # numpy refuses pickles unless asked; torch did not before 2.6.
            if values != [str(safe)] and (values or called == "torch.load"):
                yield f"line {node.lineno} calls {called} without {option}={safe}"


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('a')",
        "import torch\ntorch.load('a', weights_only=False)",
        "from torch import load as read\nread('a')",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
        "from pickle import loads",
        "import torch\ntorch.jit.load('a')",
        "eval('1')",
    ],
)
def test_the_check_finds(source: str) -> None:
    assert list(_offences(source))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('a', map_location='cpu', weights_only=True)",
        "import numpy as np\nnp.load('a')",
        "model.eval()",
    ],
)
def test_the_check_lets_pass(source: str) -> None:
    assert not list(_offences(source))


def test_no_file_is_unpickled() -> None:
    assert len(FILES) > 80
    found = {
        str(path.relative_to(ROOT)): offences
        for path in FILES
        if (offences := list(_offences(path.read_text())))
    }
    assert not found
