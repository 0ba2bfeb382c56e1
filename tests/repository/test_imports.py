"""Who may import whom: the client stays thin and the science knows no server."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import photoreal
from photoreal.client import StyleTransferClient
from tests.shared import output_of

ROOT = Path(__file__).parents[2]
SOURCES = {
    "photoreal": ROOT / "src" / "photoreal",
    **{
        f"photoreal.{name}": ROOT / name
        for name in ("preprocess", "export", "serve", "client", "train")
    },
}
PIPELINE = sorted((ROOT / "src" / "photoreal" / "pipeline").rglob("*.py"))
LOCAL = sorted((ROOT / "src" / "photoreal" / "local").rglob("*.py"))
# Both name what lies above them, and import it when it is used.
FRONT = [ROOT / "src" / "photoreal" / name for name in ("__init__.py", "cli.py")]
SCIENCE = sorted(
    path
    for path in (ROOT / "src" / "photoreal").rglob("*.py")
    if path not in [*FRONT, *PIPELINE, *LOCAL]
)
PREPROCESS = sorted((ROOT / "preprocess").glob("*.py"))
CLIENT = sorted((ROOT / "client").rglob("*.py"))
TRAIN = sorted((ROOT / "train").glob("*.py"))

MOST_MODULES = 16

# Triton's module exists in its Python backend alone; a stand-in is enough to import adapters.
STAND_IN = "import sys, types; sys.modules['triton_python_backend_utils'] = types.ModuleType('t');"


def _loaded(code: str) -> set[str]:
    """Top-level packages that a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    return set(output_of(sys.executable, "-c", script, cwd=ROOT).split())


def _adapter(name: str) -> str:
    path = str(ROOT / "model_repository" / name / "1" / "model.py")
    return f"{STAND_IN} import runpy; runpy.run_path({path!r})"


LOADING = {
    "client": ("import photoreal.client", "torch ONNX onnxscript pytriton scipy cv2 av"),
    "video command": ("import photoreal.client.video.command", "torch ONNX pytriton scipy cv2"),
    "photoreal": ("import photoreal", "torch numpy PIL tritonclient click"),
    "cli": ("import photoreal.cli", "torch ONNX tritonclient numpy"),
    "stylize command": ("import photoreal.client.cli.stylize", "torch ONNX pytriton fastapi"),
    "web command": ("import photoreal.client.web.command", "torch ONNX pytriton"),
    "science": (
        "import photoreal.transfer.progressive, photoreal.weights.segmenters",
        "tritonclient ONNX click pytriton",
    ),
    "pipeline": ("import photoreal.pipeline.stylize", "torch tritonclient ONNX click"),
    "pipeline in process": ("import photoreal.pipeline.in_process", "tritonclient ONNX click"),
    "preprocess": ("import photoreal.preprocess", "torch tritonclient ONNX click"),
    "contract": (
        "import photoreal.contract, photoreal.error_codes, photoreal.triton_messages",
        "torch numpy PIL click",
    ),
    "Pipeline": (
        "from photoreal import Pipeline",
        "ONNX click pytriton prometheus_client psutil fastapi",
    ),
    "stylize": (_adapter("stylize"), "torch tritonclient ONNX click"),
    "wct2": (_adapter("wct2"), "tritonclient ONNX click"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LOADING)
def test_importing_loads_only_what_is_needed(case: str) -> None:
    code, forbidden = LOADING[case]
    assert not _loaded(code) & set(forbidden.replace("ONNX", "onnx onnxruntime").split())


def test_what_users_need_is_imported_when_it_is_used() -> None:
    assert all(getattr(photoreal, name) is not None for name in photoreal.__all__)
    assert photoreal.StyleTransferClient is StyleTransferClient
    assert issubclass(photoreal.ClientError, photoreal.PhotorealError)
    assert set(photoreal.__all__) <= set(dir(photoreal))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = photoreal.Nothing


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


RULES = {
    "science": (SCIENCE, "tritonclient ONNX click argparse .local .pipeline .preprocess TOP"),
    "pipeline": (PIPELINE, "tritonclient ONNX click TOP"),
    "preprocess": (PREPROCESS, "torch tritonclient .serve .export .client"),
    "local": (LOCAL, "tritonclient ONNX click .serve .export .train"),
    "client": (CLIENT, "torch ONNX .export .train"),
    "train": (TRAIN, "tritonclient ONNX scipy .serve .export .client"),
}
GROUPS = {"ONNX": "onnx onnxruntime", "TOP": ".serve .export .client .train"}


@pytest.mark.parametrize("name", RULES)
def test_no_file_looks_the_wrong_way(name: str) -> None:
    files, words = RULES[name]
    for group, members in GROUPS.items():
        words = words.replace(group, members)
    forbidden = tuple(f"photoreal{one}" if one[0] == "." else one for one in words.split())
    assert files
    assert not _offending(files, forbidden)


def _modules() -> dict[str, Path]:
    """All modules that are installed, by name, and their files."""
    found = {}
    for package, folder in SOURCES.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


def _room(module: str, modules: dict[str, Path]) -> str:
    """The package below `photoreal` that a module is in, below `serve` and `client` the next."""
    room = ".".join(module.split(".")[:2])
    if room in ("photoreal.serve", "photoreal.client"):
        inner = ".".join(module.split(".")[:3])
        # The client and what its underscores hide are one.
        if modules[inner].name == "__init__.py" and "._" not in inner:
            return inner
    return room


def test_packages_import_each_other_in_one_direction() -> None:
    modules = _modules()
    rooms: dict[str, set[str]] = {}
    for module, path in modules.items():
        own = _room(module, modules)
        used = {_room(name, modules) for name in _imports(path) if name in modules}
        rooms.setdefault(own, set()).update(used - {own, "photoreal"})
    TopologicalSorter(rooms).prepare()  # raises CycleError, which shows the circle


def test_no_folder_has_too_many_modules() -> None:
    folders = Counter(path.parent for path in _modules().values())
    folders.update(path.parent for path in (ROOT / "benchmarks").rglob("*.py"))
    folders.update(path.parent for path in (ROOT / "tests").rglob("*.py"))
    assert {str(folder): count for folder, count in folders.items() if count > MOST_MODULES} == {}
