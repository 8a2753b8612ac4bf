# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One training run: the groups of a config file, as frozen dataclasses.

`TrainConfig` is what every run has; a kind of network adds its own groups in a class derived from
it, and `read_groups` reads any of them.
"""

import dataclasses
import typing
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.config import SYSTEM, build_group, check_groups, models_of, system_of
from mugv_jax.data.data_config import DataConfig
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.lora import LoraConfig
from mugv_jax.sharding.parallel import ParallelConfig
from mugv_jax.systems import NAMES
from mugv_jax.train import objectives
from mugv_jax.train.loss import LossConfig
from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.tasks import TaskConfig

DTYPES = ("bfloat16", "float32")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Length, start and arithmetic of a run.

    steps: updates in all.  seed: of weights, data order and everything that a step draws.
    weights: checkpoint to start from; "" starts from random weights.
    ema_weights: start from the running average in `weights`, which are then a training run.
    dtype: of arithmetic; master weights are float32.
    accumulate: microbatches whose gradients make one update.

    Raises:
        ValueError: values out of range.
    """

    steps: int = 1000
    seed: int = 0
    weights: str = ""
    ema_weights: bool = False
    dtype: str = "bfloat16"
    accumulate: int = 1

    def __post_init__(self):
        require_at_least(1, self, "steps", "accumulate")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(DTYPES)}.")
        if self.ema_weights and not self.weights:
            raise ValueError("ema_weights=True needs weights: the folder of a training run.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiTRunConfig(RunConfig):
    """A run of a diffusion transformer.

    null_text: file of the text features that replace a dropped caption (`mugv-jax data encode`
        writes `empty_text.pt`); "" uses the weights' own table of them, where they have one.
    remat: what the backward pass computes again, see `nn/dit/remat.py`.
    """

    null_text: str = ""
    remat: str = "full"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmaConfig:
    """Running average of the weights (published decay 0.9999); shorter over the first steps.

    Raises:
        ValueError: a decay outside [0, 1).
    """

    enabled: bool = True
    decay: float = 0.9999

    def __post_init__(self):
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay={self.decay} must lie in [0, 1).")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """A checkpoint every `every` steps, of which the newest `keep` stay, and with `archive` above
    0 also those of every `archive`-th step (post-hoc averaging wants some).

    Raises:
        ValueError: values out of range.
    """

    every: int = 500
    keep: int = 3
    archive: int = 0

    def __post_init__(self):
        require_at_least(1, self, "every", "keep")
        require_at_least(0, self, "archive")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogConfig:
    """Steps between lines of metrics, validations and samples; 0 switches the latter two off.

    wandb: name of a Weights & Biases project beside TensorBoard, or "".

    Raises:
        ValueError: values out of range.
    """

    every: int = 10
    validate_every: int = 500
    sample_every: int = 0
    wandb: str = ""

    def __post_init__(self):
        require_at_least(1, self, "every")
        require_at_least(0, self, "validate_every", "sample_every")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiTLogConfig(LogConfig):
    """Logging of a diffusion transformer.

    sample_steps, guidance: steps and guidance scale of a logged sample.
    vae: checkpoint that decodes samples; without one ("") the first latent channels are shown.

    Raises:
        ValueError: values out of range.
    """

    sample_steps: int = 25
    guidance: float = 4.0
    vae: str = ""

    def __post_init__(self):
        super().__post_init__()
        require_at_least(1, self, "sample_steps")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Groups that every training run has. `lora` is None where whole weights are trained.

    Raises:
        ValueError: groups that contradict each other.
    """

    optimizer: OptimizerConfig
    ema: EmaConfig
    run: RunConfig
    checkpoint: CheckpointConfig
    log: LogConfig
    mesh: ParallelConfig = dataclasses.field(default_factory=ParallelConfig)
    lora: LoraConfig | None = None

    def __post_init__(self):
        if self.lora is not None and self.optimizer.freeze:
            raise ValueError(
                f"optimizer.freeze={self.optimizer.freeze} with lora.rank={self.lora.rank}: "
                "low-rank updates leave all weights frozen; choose lora.targets instead."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiTTrainConfig(TrainConfig):
    """A training run of a diffusion transformer.

    system: name of the family that `dit` belongs to.
    objective: settings of the objective, a class of `train/objectives/` by its field `name`.
    """

    system: str = NAMES[0]
    dit: Any
    data: DataConfig
    tasks: TaskConfig
    loss: LossConfig
    objective: Any = dataclasses.field(default_factory=lambda: objectives.settings(None)())
    kernels: KernelConfig = dataclasses.field(default_factory=KernelConfig)
    run: DiTRunConfig
    log: DiTLogConfig


def from_config_dict(values: ConfigDict) -> DiTTrainConfig:
    """The run of a diffusion transformer that a config file describes.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    system = system_of(values)
    others = [name for name in system.groups if name != "dit"]
    objective: Any = values.get("objective", {})
    classes = {"objective": objectives.settings(objective.get("name")), "dit": system.groups["dit"]}
    groups = read_groups(DiTTrainConfig, values, classes, others=others)
    models: Any = models_of(values)
    groups |= {"dit": models.dit, "system": system.name}
    return DiTTrainConfig(**groups)


def read_groups(
    cls: type,
    values: ConfigDict,
    classes: dict[str, type] | None = None,
    others: Iterable[str] = (),
) -> dict[str, Any]:
    """The groups of a config file as the fields of `cls`; groups with a default may be missing.

    classes: dataclasses of groups in place of the annotated ones.
    others: further groups that the file must have, which are not read here.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    built = group_classes(cls) | (classes or {})
    optional = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING
        or field.default_factory is not dataclasses.MISSING
    }
    check_groups(values, [*others, *(built.keys() - optional)], optional={*optional, SYSTEM})
    groups = {
        name: build_group(name, group, values[name])
        for name, group in built.items()
        if name in values
    }
    if "lora" in groups and not groups["lora"].rank:
        groups["lora"] = None
    return groups


def group_classes(cls: type) -> dict[str, type]:
    """Dataclasses of the groups of a run, by field."""
    found = {}
    for name, hint in typing.get_type_hints(cls).items():
        for group in filter(dataclasses.is_dataclass, (hint, *typing.get_args(hint))):
            found[name] = group
    return found
