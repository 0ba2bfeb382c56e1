"""Settings of a training run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import accumulate
from pathlib import Path

from photoreal.errors import TrainingError
from photoreal.train.tables import CLASSES


@dataclass(frozen=True)
class Stage:
    """A stage of the training: number of steps, batch size, and side of the square crops."""

    steps: int
    crop: int
    batch: int


@dataclass(frozen=True)
class Settings:
    """All settings of a run; with the list of photos they make it repeatable.

    The defaults are for a run from random weights; one from other weights needs fewer steps.

    The learning rate rises over `warmup` steps, stays, and falls to zero over the last
    `decay` of all steps. `averaging` is the decay of the running average of the weights,
    which is what is kept. From step `clouds_from` on, a share `clouds` of the crops with sky
    gets clouds painted. `shares` says how often a crop comes from each source.

    For fine-tuning, `frozen` parts keep their parameters, batch normalization its statistics with
    `keep_statistics`, and `distillation` is the weight of the divergence from the segmenter that
    the run began with. At the end, the share `origin_share` of each weight is that segmenter's own.

    `offsets` by class are added to the scores of the finished segmenter, before the softmax.
    """

    width: int = 16
    seed: int = 1
    stages: tuple[Stage, ...] = (Stage(4500, 144, 12), Stage(1900, 208, 12))
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.03
    warmup: int = 300
    decay: float = 0.4
    averaging: float = 0.998
    deep_supervision: float = 0.4
    label_smoothing: float = 0.03
    clouds: float = 0.5
    clouds_from: int = 5000
    frozen: tuple[str, ...] = ()
    keep_statistics: bool = False
    distillation: float = 0.0
    origin_share: float = 0.0
    offsets: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(
        default_factory=lambda: {
            "camvid": 0.15,
            "labelmefacade": 0.2,
            "ade_sky": 0.08,
            "stanford_background": 0.18,
            "msrc21": 0.15,
            "river": 0.07,
            "human_seg": 0.06,
            "ccp": 0.04,
            "horizon_uav": 0.03,
            "sky_small": 0.03,
            "coco_stuff21": 0.01,
        }
    )

    @property
    def needs_origin(self) -> bool:
        """Whether the run has to begin with another segmenter."""
        return self.distillation > 0 or self.origin_share > 0

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """Stage of a step, counted from 0."""
        return self.stages[self.stage_number(step)]

    def stage_number(self, step: int) -> int:
        """Number of the stage of a step, both counted from 0."""
        ends = accumulate(stage.steps for stage in self.stages)
        passed = sum(end <= step for end in ends)
        return min(passed, len(self.stages) - 1)

    def with_steps(self, steps: Sequence[int]) -> Settings:
        """The same course in other numbers of steps, one for each stage.

        Stages of no steps are left out; `clouds_from` keeps its share of the run.
        """
        scaled = zip(self.stages, steps, strict=True)
        return replace(
            self,
            stages=tuple(replace(stage, steps=count) for stage, count in scaled if count),
            clouds_from=round(self.clouds_from * sum(steps) / self.steps),
        )

    def rate(self, step: int, position: int | None = None) -> float:
        """Learning rate of a step, counted from 0.

        `position` is how far the run has come in its steps, unless as far as the step's number.
        """
        position = step if position is None else position
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        fall = min(1.0, (self.steps - position) / max(self.decay * self.steps, 1.0))
        return self.learning_rate * rise * fall

    def differences(self, other: Settings) -> list[str]:
        """List the settings that differ from another run's, as "name value, not value".

        The stages' steps do not count: a run may be made longer or shorter on its way.
        """
        ours, theirs = self._lasting(), other._lasting()
        return [
            f"{name} {theirs[name]}, not {ours[name]}"
            for name in ours
            if ours[name] != theirs[name]
        ]

    def _lasting(self) -> dict[str, object]:
        """The settings by name, of the stages crops and batches alone."""
        stages = " then ".join(f"{stage.batch} crops of {stage.crop}" for stage in self.stages)
        return asdict(self) | {"stages": stages}

    def to_json(self) -> str:
        """Serialize to JSON for `from_json`."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Parse settings from a JSON object; omitted settings keep their defaults.

        Raises TrainingError for an unknown name or an invalid value.
        """
        try:
            values = json.loads(text)
            unknown = values.keys() - {known.name for known in fields(cls)}
            if unknown:
                raise TrainingError(
                    f"The settings name {', '.join(sorted(unknown))}, which is no setting."
                )
            if "stages" in values:
                values["stages"] = tuple(Stage(**stage) for stage in values["stages"])
            if "frozen" in values:
                values["frozen"] = tuple(values["frozen"])
            settings = cls(**values)
            settings._check()
        except (ValueError, TypeError, AttributeError) as error:
            raise TrainingError(f"The settings are not a valid JSON object: {error}.") from error
        return settings

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read settings from a file; raises TrainingError."""
        try:
            return cls.from_json(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise TrainingError(f"The settings {path.name} cannot be read.") from error

    def _check(self) -> None:
        sound = (
            self.width >= 1
            and self.stages
            and all(
                s.steps >= 1 and s.crop >= 64 and s.crop % 8 == 0 and s.batch >= 2
                for s in self.stages
            )
            and self.learning_rate > 0
            and 0 <= self.averaging < 1
            and 0 <= self.decay <= 1
            and self.distillation >= 0
            and 0 <= self.origin_share < 1
            and self.offsets.keys() <= set(CLASSES)
            and all(math.isfinite(offset) for offset in self.offsets.values())
            and self.shares
            and all(share >= 0 for share in self.shares.values())
            and sum(self.shares.values()) > 0
        )
        if not sound:
            raise TrainingError(
                "The settings do not fit together; expected at least one stage with crops of 64"
                " or more, a multiple of 8, in batches of 2 or more, a learning rate above 0,"
                " averaging, decay and origin_share in 0..1, distillation of 0 or more, offsets of"
                f" {', '.join(CLASSES)}, and shares that are not all 0."
            )
