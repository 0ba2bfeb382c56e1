"""Fill a model repository with configs, adapters and the exported networks."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from photoreal import contract
from photoreal.contract import ModelSpec, Unpool
from photoreal.errors import ExportError
from photoreal.export.acceleration import ACCELERATORS, ENGINE_CACHE, Acceleration
from photoreal.export.configs import MODEL_FILES, ExportTarget, model_configs
from photoreal.export.onnx import check_onnx, export_onnx
from photoreal.export.tensorrt import DEFAULT_MAX_SIDE, build_engine, require_tensorrt
from photoreal.export.wrappers import DecoderLevel, EncoderLevel, Labels
from photoreal.networks.vgg import Decoder, Encoder
from photoreal.weights.networks import BUILTIN, load_wct2, save_bundle
from photoreal.weights.segmenters import (
    DEFAULT_SEGMENTER,
    SEGMENTER_FILE,
    load_segmenter,
    save_segmenter,
    segmenter_terms,
)

TEMPLATES = Path(__file__).parent.parent / "model_repository"
"""Folder of the adapters that are installed with the package."""


@dataclass(frozen=True)
class ExportSettings:
    """What to export, where to, and for which hardware.

    `weights`: "builtin", "wct2" or a folder. `segmenter`: "default", "ade20k", a folder, or None
    to export no segmenter. `precision`: "fp32" or "fp16" inside the models; inputs and outputs are
    float32 either way. `device`: "cpu" or "cuda", the device that the server will use.
    `accelerator`: "cuda" or "tensorrt", the execution provider of ONNX Runtime on a GPU; with
    "tensorrt", engines are cached in `engine_cache`. `max_side`: the longest image side in pixels
    for TensorRT. `stock`: write only the models that a tritonserver without `photoreal serve`
    needs, since it loads every model in the repository; the Python models then run in the virtual
    environment `environment`, if given.
    """

    repository: Path
    weights: str = BUILTIN
    unpool: Unpool = "cat5"
    segmenter: str | None = DEFAULT_SEGMENTER
    precision: str = "fp32"
    tensorrt: bool = False
    device: str = contract.DEVICES[0]
    accelerator: str = ACCELERATORS[0]
    engine_cache: str = ENGINE_CACHE
    max_side: int = DEFAULT_MAX_SIDE
    stock: bool = False
    environment: str | None = None

    def target(self) -> ExportTarget:
        """Return the target of the configs; raises ExportError for conflicting options."""
        if self.accelerator == ACCELERATORS[0]:
            return ExportTarget(
                self.device == "cuda",
                self.tensorrt,
                max_side=self.max_side,
                environment=self.environment,
            )
        if self.tensorrt or self.device != "cuda":
            raise ExportError(
                "The accelerator tensorrt runs ONNX models on a GPU; expected it with --device cuda"
                " and without --tensorrt."
            )
        acceleration = Acceleration(self.precision, self.engine_cache)
        return ExportTarget(
            gpu=True,
            acceleration=acceleration,
            max_side=self.max_side,
            environment=self.environment,
        )

    def leaves_out(self) -> set[str]:
        """Names of models that a stock server must not load: not used, or without a model file."""
        left: set[str] = set()
        if self.stock and self.device != "cuda":  # on cuda, wct2 calls the levels
            left = {spec.name for spec in contract.network_levels(self.unpool)}
        if self.stock and self.segmenter is None:
            left.add(contract.SEGMENTER.name)
        return left


def export_repository(settings: ExportSettings, report: Callable[[str], None]) -> None:
    """Export into a repository, and pass `report` one line about each model.

    Files are written to a staging folder and moved into place at the end, so a failure leaves the
    repository unchanged. Raises ExportError and WeightsError.
    """
    target, left = settings.target(), settings.leaves_out()
    for name in sorted(left):
        if (settings.repository / name).exists():
            raise ExportError(
                f"{settings.repository} contains {name}, which a stock Triton would load as well;"
                " expected an empty folder or one of an earlier export with --stock."
            )
    if settings.tensorrt:
        require_tensorrt()
    encoder, decoder = load_wct2(settings.weights, settings.unpool)
    networks = list(_network_levels(encoder, decoder))
    class_names: tuple[str, ...] = ()
    if settings.segmenter is not None:
        segmenter, class_names = load_segmenter(settings.segmenter)
        networks.insert(0, (contract.SEGMENTER, Labels(segmenter)))
    with _staging(settings.repository) as staged:
        _stage_configs(staged, model_configs(settings.unpool, target), left)
        for spec, module in networks:
            if spec.name not in left:
                report(_stage_network(staged, spec, module.eval(), settings))
        if class_names:
            listing = staged / contract.SEGMENTER.name / contract.SEGMENTER_CLASSES_FILE
            listing.write_text("".join(f"{one}\n" for one in class_names))
        if settings.segmenter not in (None, DEFAULT_SEGMENTER):
            save_segmenter(listing.parent / "1", segmenter, class_names)
        bundle = Path(contract.WCT2.name) / "1" / contract.WEIGHTS_FILE
        if settings.weights != BUILTIN:
            save_bundle(staged / bundle, encoder, decoder)
        _secure(staged)
        _move_into_place(staged, settings.repository)
        if settings.weights == BUILTIN:
            (settings.repository / bundle).unlink(missing_ok=True)
    _drop_stale_models(settings)
    if settings.segmenter is not None and (terms := segmenter_terms(settings.segmenter)):
        report(f"weights of the segmenter {settings.segmenter}: {terms} (photoreal's code: MIT)")


@contextmanager
def _staging(repository: Path) -> Iterator[Path]:
    """Staging folder in the repository, removed on exit; so is a new repository that stays empty.

    Raises ExportError when the disk is full or not writable.
    """
    made = not repository.exists()
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=repository, prefix=".export-") as name:
            yield Path(name)
    except OSError as error:
        raise ExportError(
            f"The models cannot be written to {repository} ({error.strerror or error}); what was"
            " there is unchanged."
        ) from error
    finally:
        if made:
            with contextlib.suppress(OSError):  # it is not empty, or was not created
                repository.rmdir()


def _secure(staged: Path) -> None:
    """Flush every file to disk: some file systems report only on fsync that the disk is full."""
    for file in staged.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def _network_levels(encoder: Encoder, decoder: Decoder) -> Iterator[tuple[ModelSpec, nn.Module]]:
    for level in contract.LEVELS:
        module = EncoderLevel(encoder, level)
        yield module.spec, module
    for level in reversed(contract.LEVELS):
        undo = DecoderLevel(decoder, level)
        yield undo.spec, undo


def _stage_configs(staged: Path, configs: Mapping[str, str], left: Collection[str]) -> None:
    for name in configs.keys() - left:
        version = staged / name / "1"
        version.mkdir(parents=True)
        (staged / name / "config.pbtxt").write_text(configs[name])
        adapter = TEMPLATES / name / "1" / MODEL_FILES["python"]
        if adapter.exists():
            shutil.copyfile(adapter, version / adapter.name)


def _stage_network(
    staged: Path, spec: ModelSpec, module: nn.Module, settings: ExportSettings
) -> str:
    path = staged / spec.name / "1" / MODEL_FILES["onnxruntime"]
    export_onnx(module, spec, path, settings.precision)
    error = check_onnx(module, spec, path, settings.precision)
    size = path.stat().st_size / 2**20
    line = f"{spec.name:<16} {settings.precision}  {size:6.1f} MiB  largest error {error:.1e}"
    if settings.tensorrt:
        plan = path.with_name(MODEL_FILES["tensorrt"])
        build_engine(spec, path, plan, settings.precision, settings.max_side)
        path.unlink()
        line += f"  engine {plan.stat().st_size / 2**20:.1f} MiB"
    return line


def _move_into_place(staged: Path, repository: Path) -> None:
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    for file in files:  # first, as folders need disk space and moving does not
        (repository / file.relative_to(staged)).parent.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = repository / file.relative_to(staged)
        if target.exists() and target.read_bytes() == file.read_bytes():
            continue
        try:
            file.replace(target)
        except OSError as error:
            raise ExportError(f"{target} cannot be written ({error.strerror}).") from error


def _drop_stale_models(settings: ExportSettings) -> None:
    """Remove model files that the configs no longer name, and a segmenter that is not exported."""
    current, stale = MODEL_FILES["onnxruntime"], MODEL_FILES["tensorrt"]
    if settings.tensorrt:
        current, stale = stale, current
    for spec in (contract.SEGMENTER, *contract.network_levels()):
        (settings.repository / spec.name / "1" / stale).unlink(missing_ok=True)
    segmenter = settings.repository / contract.SEGMENTER.name
    if settings.segmenter in (None, DEFAULT_SEGMENTER):
        (segmenter / "1" / SEGMENTER_FILE).unlink(missing_ok=True)
    if settings.segmenter is None:
        for file in (f"1/{current}", contract.SEGMENTER_CLASSES_FILE):
            (segmenter / file).unlink(missing_ok=True)
