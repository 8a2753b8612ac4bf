# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One training run: the groups of a config file, as frozen dataclasses."""

import dataclasses

from ml_collections import ConfigDict

from mugv_jax.bounds import require_at_least
from mugv_jax.config import build_group, check_groups, models_of
from mugv_jax.data.data_config import DataConfig
from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.lora import LoraConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.sharding.parallel import ParallelConfig
from mugv_jax.systems.mugv.system import SYSTEM
from mugv_jax.train.loss import LossConfig
from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.tasks import TaskConfig

DTYPES = ("bfloat16", "float32")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """steps: updates in all.  seed: of weights, data order, tasks, times and noise.

    weights: checkpoint to start from; "" starts from random weights.
    ema_weights: start from the running average in `weights`, which are then a training run.
    null_text: file of the text features that replace a dropped caption (`mugv-jax data encode`
        writes `empty_text.pt`); "" uses the weights' own table of them, where they have one.
    dtype: of arithmetic; master weights are float32.
    remat: what the backward pass recomputes, see `nn/dit/remat.py`.
    accumulate: microbatches whose gradients make one update.

    Raises:
        ValueError: values out of range.
    """

    steps: int = 1000
    seed: int = 0
    weights: str = ""
    ema_weights: bool = False
    null_text: str = ""
    dtype: str = "bfloat16"
    remat: str = "full"
    accumulate: int = 1

    def __post_init__(self):
        require_at_least(1, self, "steps", "accumulate")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(DTYPES)}.")
        if self.ema_weights and not self.weights:
            raise ValueError("ema_weights=True needs weights: the folder of a training run.")


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
    """What is logged of a diffusion transformer.

    sample_steps, guidance: of a logged sample.
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
    """Everything a training run is. `lora` is None where whole weights are trained.

    Raises:
        ValueError: groups that contradict each other.
    """

    dit: DiTConfig
    mesh: ParallelConfig
    kernels: KernelConfig
    data: DataConfig
    tasks: TaskConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    ema: EmaConfig
    lora: LoraConfig | None
    run: RunConfig
    checkpoint: CheckpointConfig
    log: DiTLogConfig

    def __post_init__(self):
        if self.lora is not None and self.optimizer.freeze:
            raise ValueError(
                f"optimizer.freeze={self.optimizer.freeze} with lora.rank={self.lora.rank}: "
                "low-rank updates leave all weights frozen; choose lora.targets instead."
            )


GROUPS = {
    "mesh": ParallelConfig,
    "kernels": KernelConfig,
    "data": DataConfig,
    "tasks": TaskConfig,
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "ema": EmaConfig,
    "lora": LoraConfig,
    "run": RunConfig,
    "checkpoint": CheckpointConfig,
    "log": DiTLogConfig,
}
OPTIONAL = {"kernels"}  # nothing but a platform's choice is overridden there


def from_config_dict(values: ConfigDict) -> TrainConfig:
    """Checks every group and field, by name and type.

    Raises:
        ValueError: unknown or missing names, or values that the dataclasses refuse.
    """
    needed = [name for name in (*SYSTEM.groups, *GROUPS) if name not in OPTIONAL]
    check_groups(values, needed, optional=OPTIONAL)
    groups = {
        name: build_group(name, cls, values.get(name, ConfigDict())) for name, cls in GROUPS.items()
    }
    if not groups["lora"].rank:
        groups["lora"] = None
    return TrainConfig(dit=models_of(values).dit, **groups)
