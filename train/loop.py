"""Training loop: optimizer steps and running average of the weights.

The segmenter is trained with deep supervision as the published head was (Zhao et al.,
"Pyramid Scene Parsing Network", CVPR 2017, section 3.3), by AdamW (Loshchilov and Hutter, ICLR
2019), from random weights (He et al., ICCV 2015) or from those of another segmenter.
"""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from photoreal.devices import is_queued
from photoreal.errors import TrainingError
from photoreal.networks.segmenter import Segmenter
from photoreal.train.calibrate import calibrate
from photoreal.train.evaluate import Score, accuracy, evaluate
from photoreal.train.loss import segmentation_loss
from photoreal.train.run_folder import CHECKPOINT_FILE, RunFolder
from photoreal.train.samples import Samples
from photoreal.train.settings import Settings
from photoreal.train.sources import LabeledPhoto, Read, describe, terms_of_use
from photoreal.train.tables import CLASSES
from photoreal.train.warm_start import (
    Teacher,
    add_offsets,
    freeze,
    interpolate,
    keep_statistics,
    take_over,
)
from photoreal.weights.segmenters import load_segmenter, save_segmenter

_LOOK_EVERY = 20  # steps between looks at the loss on a GPU


class Photos(NamedTuple):
    """One part of the data, read into memory."""

    items: Sequence[LabeledPhoto]
    pictures: Sequence[Read]


class Progress(NamedTuple):
    """What a run reports: after every step, with the scores when they were measured.

    `step` and `steps` are those of the settings; a run of a given time makes more or fewer of its
    own. On a GPU the loss is that of a step before, since asking for it takes time.
    """

    step: int
    steps: int
    loss: float
    scores: dict[str, Score] | None


class Training:
    """A run in a folder, resumable after any number of steps."""

    def __init__(
        self, settings: Settings, folder: Path, device: str = "cpu", *, bf16: bool = False
    ) -> None:
        self.settings = settings
        self._folder = RunFolder(folder)
        self._device, self._bf16 = torch.device(device), bf16
        torch.manual_seed(settings.seed)
        self._network = Segmenter(settings.width, len(CLASSES))
        self._network.apply(_initialize)
        self._network.to(self._device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = copy.deepcopy(self._network).eval().requires_grad_(False)
        self._teacher = Teacher(self._network) if settings.needs_origin else None
        if settings.keep_statistics:
            keep_statistics(self._network)
        freeze(self._network, settings.frozen)
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(self._network, settings),
            fused=True if is_queued(self._device) else None,
        )
        self._averaged = tuple(
            [value for value in one.state_dict().values() if value.is_floating_point()]
            for one in (self.average, self._network)
        )
        self.step = 0

    def start(self, photos: Photos, origin: str | Path | None = None) -> None:
        """Start a new run and record its settings and photos.

        `origin` is a segmenter for `load_segmenter` to initialize from instead of random weights;
        its classes are matched by name. Raises TrainingError when the folder already contains a
        run, the origin has a different width or is missing where the settings need it,
        WeightsError when the origin cannot be loaded.
        """
        if origin is not None:
            take_over(self._network, *load_segmenter(origin))
            self.average.load_state_dict(self._network.state_dict())
            if self._teacher is not None:
                self._teacher.network.load_state_dict(self._network.state_dict())
        elif self._teacher is not None:
            raise TrainingError(
                "The settings ask for a distillation or a share of the origin; expected a segmenter"
                " to begin with (--from)."
            )
        self._folder.begin(self.settings, [item.name for item in photos.items])

    def resume(self, photos: Photos) -> None:
        """Resume from the folder's checkpoint; the settings may change the number of steps.

        Raises TrainingError when the checkpoint is missing or damaged, belongs to other photos or
        settings, or is past the last step.
        """
        names = [item.name for item in photos.items]
        state = self._folder.resume(self.settings, names)
        try:
            step = int(state["step"])
            self._network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
            if self._teacher is not None:
                self._teacher.network.load_state_dict(state["teacher"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise self._folder.damaged(CHECKPOINT_FILE) from error
        if step > self.settings.steps:
            raise TrainingError(
                f"The training is at step {step} already; expected settings with as many steps or"
                f" more, not {self.settings.steps}."
            )
        self.step = step
        self._folder.write_settings(self.settings)  # its steps may be others

    def run(
        self,
        photos: Photos,
        validation: Photos,
        report: Callable[[Progress], None],
        *,
        every: int = 100,
        measure_every: int = 500,
        seconds: float | None = None,
    ) -> dict[str, Score]:
        """Train to the last step, calibrate and keep the averaged weights; returns the last scores.

        Every `every` steps the run is saved, every `measure_every` steps, and after the last, the
        average is measured. With `seconds` the run goes through its settings in that time, in as
        many steps as it is enough for, which the settings then become.
        """
        course = self.settings
        samples = Samples(photos.items, photos.pictures, course, self._device)
        begin = time.monotonic()

        def position() -> int:
            if seconds is None:
                return self.step
            return int((time.monotonic() - begin) / seconds * course.steps)

        scores: dict[str, Score] = {}
        loss = float("nan")
        taken: Counter[int] = Counter()
        now = position()
        while now < course.steps:
            taken[course.stage_number(now)] += 1
            latest = self._step(*samples.batch(self.step, now), now)
            now = position()
            measured = None
            last = now >= course.steps
            measuring = last or self.step % measure_every == 0
            saving = measuring or self.step % every == 0
            if saving or not is_queued(self._device) or self.step % _LOOK_EVERY == 1:
                loss = self._finite(latest)
            if measuring:
                measured = scores = self._measure(validation)
            if last and seconds is not None:
                self.settings = course.with_steps([taken[n] for n in range(len(course.stages))])
                self._folder.write_settings(self.settings)
            if saving:
                self._save(loss, measured)
            report(Progress(min(now, course.steps), course.steps, loss, measured))
        if self._adjust() or not scores:  # the latter when resumed after its last step
            scores = self._measure(validation)
        self.average.temperature = calibrate(self.average, *validation)
        save_segmenter(
            self._folder.path,
            self.average,
            CLASSES,
            terms=terms_of_use(photos.items),
            sources=describe(photos.items),
        )
        return scores

    def _adjust(self) -> bool:
        """Apply what the settings say about finished weights; returns whether they say anything."""
        if self._teacher is not None:
            interpolate(self.average, self._teacher.network, self.settings.origin_share)
        add_offsets(self.average, self.settings.offsets)
        return bool(self.settings.origin_share or self.settings.offsets)

    def _measure(self, validation: Photos) -> dict[str, Score]:
        # Photos differ in size, and the search for the fastest convolutions begins again with each.
        torch.backends.cudnn.benchmark = False
        return evaluate(self.average, *validation)

    def _step(self, images: Tensor, targets: Tensor, position: int) -> Tensor:
        """Take one step; returns its loss, which a GPU may still be working on."""
        settings = self.settings
        rate = settings.rate(self.step, position)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(settings.seed + self.step)  # dropout, the same when resumed
        torch.backends.cudnn.benchmark = True
        network = self._network
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            third, deepest = network.encoder((images - network.mean) / network.deviation)
            heads = network.decoder(deepest), network.decoder.deep_supervision(third)
        main, helper = (
            segmentation_loss(_resize(head.float(), targets), targets, settings.label_smoothing)
            for head in heads
        )
        loss = main + settings.deep_supervision * helper
        if self._teacher is not None and settings.distillation:
            loss = loss + settings.distillation * self._teacher.loss(images, heads[0])
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        self._optimizer.step()
        self.step += 1
        # Early on, a long average would retain the random initialization.
        keep = min(settings.averaging, self.step / (self.step + 10))
        get_ema_multi_avg_fn(keep)(*self._averaged, None)  # type: ignore[no-untyped-call]
        return main.detach()

    def _finite(self, loss: Tensor) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is {value} at step {self.step}; expected a number: lower the learning"
                " rate."
            )
        return value

    def _save(self, loss: float, scores: dict[str, Score] | None) -> None:
        counts = self._network.state_dict()
        for name, value in self.average.state_dict().items():
            if not value.is_floating_point():
                value.copy_(counts[name])
        state = {
            "step": self.step,
            "network": self._network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        if self._teacher is not None:
            state["teacher"] = self._teacher.network.state_dict()
        line: dict[str, Any] = {"step": self.step, "loss": round(loss, 4)}
        if scores is not None:
            line["accuracy"] = round(accuracy(scores), 4)
            line["sources"] = {name: round(score.accuracy, 4) for name, score in scores.items()}
        line["time"] = round(time.time())
        self._folder.save(state, line)


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _parameter_groups(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """Weight decay for the convolutions' weights alone."""
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": settings.weight_decay, "lr": settings.learning_rate},
        {"params": others, "weight_decay": 0.0, "lr": settings.learning_rate},
    ]


def _resize(scores: Tensor, targets: Tensor) -> Tensor:
    return F.interpolate(scores, size=targets.shape[-2:], mode="bilinear", align_corners=False)
