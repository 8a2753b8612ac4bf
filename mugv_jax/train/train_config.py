# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training configuration: the groups of a config file as frozen dataclasses.

`TrainConfig` has the groups of every run; each kind of network derives a class with further groups,
and `read_groups` reads any of these classes.
"""

import dataclasses
import typing
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least, require_seed
from mugv_jax.config import SYSTEM, build_group, check_groups, models_of, system_of
from mugv_jax.data.data_config import DataConfig
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.dit.remat import check_policy
from mugv_jax.nn.lora import LoraConfig
from mugv_jax.problems import Problems
from mugv_jax.sharding.parallel import ParallelConfig
from mugv_jax.systems import NAMES
from mugv_jax.train import objectives
from mugv_jax.train.loss import LossConfig
from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.tasks import TaskConfig

DTYPES = ("bfloat16", "float32")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Length, initial weights and compute dtype of a run.

    steps: total number of updates.
    seed: seed of the initial weights, the data order and all random draws of a step.
    weights: checkpoint to start from; "" starts from random weights.
    ema_weights: start from the EMA weights in `weights`, which must be a training run.
    dtype: compute dtype; master weights are float32.
    accumulate: number of microbatches per update (gradient accumulation).

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
        require_seed("seed", self.seed)
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(DTYPES)}.")
        if self.ema_weights and not self.weights:
            raise ValueError("ema_weights=True needs weights: the folder of a training run.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiTRunConfig(RunConfig):
    """Run settings of a diffusion transformer.

    null_text: file of the text features that replace a dropped caption (`mugv-jax data encode`
        writes `empty_text.pt`); "" uses the null caption in `weights`, or else `empty_text.pt`
        beside the samples.
    remat: rematerialisation policy, see `nn/dit/remat.py`.

    Raises:
        ValueError: values out of range, or an unknown policy.
    """

    null_text: str = ""
    remat: str = "full"

    def __post_init__(self):
        super().__post_init__()
        check_policy(self.remat)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmaConfig:
    """EMA of the weights (published decay 0.9999); the decay is smaller over the first steps.

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
    """Checkpoint interval and retention.

    every: steps between checkpoints.  keep: number of newest checkpoints that are kept.
    archive: also keep the checkpoints at multiples of this step, for post-hoc EMA; 0 is off.

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
    """Intervals in steps of metrics, validation and samples; 0 turns the latter two off.

    wandb: Weights & Biases project to log to in addition to TensorBoard, or "".

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
    """Logging settings of a diffusion transformer.

    sample_steps, guidance: sampling steps and guidance scale of logged samples.
    vae: VAE checkpoint that decodes samples, unless a tiny decoder lies beside it; with "" the
        first three latent channels are logged.

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
    """Config groups of every training run; `lora` is None for full fine-tuning.

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
    """Config of a training run of a diffusion transformer.

    system: name of the model family of `dit`.
    vae: sizes of the system's VAE, which objectives that decode inside the step read; None if they
        are not known.
    objective: settings of the objective; its field `name` selects a module of `train/objectives/`.
    """

    system: str = NAMES[0]
    dit: Any
    vae: Any = None
    data: DataConfig
    tasks: TaskConfig
    loss: LossConfig
    objective: Any = dataclasses.field(default_factory=lambda: objectives.find().Settings())
    kernels: KernelConfig = dataclasses.field(default_factory=KernelConfig)
    run: DiTRunConfig
    log: DiTLogConfig


def from_config_dict(values: ConfigDict) -> DiTTrainConfig:
    """Read the config of a diffusion transformer run.

    Raises:
        ValueError: unknown or missing names, or invalid values.
    """
    system, problems = system_of(values), Problems()
    settings, groups, models = objectives.find().Settings, {}, None
    with problems:
        objective: Any = values.get("objective", {})
        settings = objectives.find(objective.get("name", objectives.DEFAULT)).Settings
    if problems:  # fields of an unknown objective cannot be checked
        values = ConfigDict({name: each for name, each in values.items() if name != "objective"})
    with problems:
        groups = read_groups(
            DiTTrainConfig,
            values,
            {"objective": settings},
            others=system.groups,
            ignored=system.optional_groups,
        )
    with problems:
        if set(system.groups) <= set(values):  # else `read_groups` has said so
            models = models_of(values)
    problems.check()
    described: Any = models
    vae = getattr(described, "vae", None)
    return DiTTrainConfig(**groups, dit=described.dit, vae=vae, system=system.name)


def read_groups(
    cls: type,
    values: ConfigDict,
    classes: dict[str, type] | None = None,
    others: Iterable[str] = (),
    ignored: Iterable[str] = (),
) -> dict[str, Any]:
    """Fields of `cls` from the groups of a config file; groups with a default may be missing.

    classes: dataclasses by group that replace the annotated ones.
    others: further groups that the file must have but that are not read here.
    ignored: further groups that it may have.

    Raises:
        ValueError: unknown or missing names, or invalid values.
    """
    built = group_classes(cls) | (classes or {})
    optional = {
        field.name
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING
        or field.default_factory is not dataclasses.MISSING
    }
    groups, problems = {}, Problems()
    with problems:
        needed = [*others, *(built.keys() - optional)]
        check_groups(values, needed, optional={*optional, *ignored, SYSTEM})
    for name, group in built.items():
        if name in values:
            with problems:
                groups[name] = build_group(name, group, values[name])
    problems.check()
    if "lora" in groups and not groups["lora"].rank:
        groups["lora"] = None
    return groups


def group_classes(cls: type) -> dict[str, type]:
    """Dataclass of each config group of `cls`, by field name."""
    found = {}
    for name, hint in typing.get_type_hints(cls).items():
        for group in filter(dataclasses.is_dataclass, (hint, *typing.get_args(hint))):
            found[name] = group
    return found
