# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Multi-stage training: each stage starts from the previous one's weights (arXiv:2510.17519, 4.2).

    FOLDER/STAGE                        folder of an ordinary training run
    FOLDER/STAGE/expanded.safetensors   its initial weights, if its model is larger than the
                                        previous stage's

Progress is read from the checkpoints: a stage is finished if it has a checkpoint of its last step;
otherwise it resumes from its newest checkpoint.
"""

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from mugv_jax.problems import Problems
from mugv_jax.train.adapt import fitted_to_steps
from mugv_jax.train.checkpoint import FOLDER
from mugv_jax.train.diffusion import train
from mugv_jax.train.expand import Expansion, expanded
from mugv_jax.train.optimizer import learning_rate
from mugv_jax.train.train_config import DiTTrainConfig
from mugv_jax.weights.convert import Target, write
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.orbax_files import steps

log = logging.getLogger(__name__)

EXPANDED = "expanded.safetensors"
LOOK_AGAIN_S = 1.0  # polling interval for a file that another process writes


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training run of a curriculum; `name` is also the name of its folder."""

    name: str
    config: DiTTrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curriculum:
    """Training stages in order.

    noise: noise of an expansion between two stages, see `Expansion`.
    devices: devices to train on; all by default.
    asked: fields that are used as they are in every stage, see `train`.

    Raises:
        ValueError: stages that cannot all be run; raised before any is started.
    """

    stages: Sequence[Stage]
    noise: float = 0.0
    devices: Sequence[jax.Device] | None = None
    asked: Collection[str] = ()

    def __post_init__(self):
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise={self.noise} must be 0 or a positive number, such as 0.01.")
        problems, names = Problems(), [stage.name for stage in self.stages]
        for name in sorted({name for name in names if names.count(name) > 1}):
            problems.add(
                ValueError(f"two stages are called {name!r}: each needs a folder of its own.")
            )
        count = jax.device_count() if self.devices is None else len(self.devices)
        for stage in self.stages:
            of_stage = Problems()
            with of_stage:
                config = fitted_to_steps(stage.config, self.asked)
                learning_rate(config.optimizer, config.run.steps)
            with of_stage:
                stage.config.mesh.sizes(count)
            for error in of_stage.errors:
                problems.add(error, f"stage {stage.name}: ")
        for before, stage in itertools.pairwise(self.stages):
            with problems:
                self.expansion(before, stage)
        problems.check()

    def expansion(self, before: Stage, stage: Stage) -> Expansion | None:
        """The expansion from the model of `before` to that of `stage`; None if they are equal.

        Raises:
            ValueError: no expansion leads from one to the other.
        """
        old, new = before.config.dit, stage.config.dit
        if old == new:
            return None
        factor = new.width // old.width
        noise = self.noise if factor > 1 else 0.0
        try:
            expansion = Expansion(
                factor=factor, depth=new.depth, noise=noise, seed=stage.config.run.seed
            )
            larger = expansion.config(old)
            if larger != new:
                raise ValueError(
                    f"{old} can become {larger}, but the config's dit is {new}: width and "
                    "num_heads grow by the same whole factor, depth may grow, and nothing else "
                    "may differ."
                )
        except ValueError as error:
            raise ValueError(
                f"stage {stage.name} cannot start from stage {before.name}: {error}"
            ) from error
        return expansion

    def run(self, folder: Path) -> bool:
        """Run all unfinished stages in order; returns whether all are finished.

        False means that a stage was stopped by a signal, see `train`.

        Raises:
            ValueError: see `train`.
        """
        for number, stage in enumerate(self.stages):
            place, reached = folder / stage.name, newest_step(folder / stage.name)
            last = stage.config.run.steps
            of_all = f"stage {number + 1} of {len(self.stages)}, {stage.name}"
            if reached >= last:
                log.info("%s: finished at step %d.", of_all, reached)
                continue
            log.info("%s: at step %d of %d.", of_all, reached, last)
            config = self._starting(folder, number)
            if train(config, place, self.devices, self.asked) < last:
                return False
        return True

    def _starting(self, folder: Path, number: int) -> DiTTrainConfig:
        """The config of a stage, with `run.weights` set to its initial weights."""
        stage = self.stages[number]
        if not number:
            return stage.config
        before = self.stages[number - 1]
        weights, ema = folder / before.name, before.config.ema.enabled
        expansion = self.expansion(before, stage)
        if expansion is not None:
            target = folder / stage.name / EXPANDED
            write_expanded(weights, target, expansion, ema=ema)
            weights, ema = target, False
        run = dataclasses.replace(stage.config.run, weights=str(weights), ema_weights=ema)
        return dataclasses.replace(stage.config, run=run)


def newest_step(run: Path) -> int:
    """The step of a run's newest complete checkpoint; 0 without one."""
    found = steps(run / FOLDER) if (run / FOLDER).is_dir() else []
    return int(found[-1].name) if found else 0


def write_expanded(weights: Path, target: Path, expansion: Expansion, *, ema: bool) -> None:
    """Write the expanded model of `weights` to the file `target`, unless it exists.

    Only process 0 writes. All processes open the weights, because opening a training checkpoint is
    a collective operation. The others then poll for the file, or for the mark that writing it
    failed: a device barrier would time out.

    Raises:
        ValueError: weights that cannot be read, or a file that cannot be written.
    """
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    failed = target.with_suffix(".failed")
    if jax.process_index() == 0:
        failed.unlink(missing_ok=True)  # of an earlier attempt
    multihost_utils.sync_global_devices(str(failed))
    with open_source(weights, ema=ema) as source:
        larger = expanded(source, expansion)
        if jax.process_index() == 0:
            log.info("expanding the weights of %s.", weights)
            try:
                write(larger, Target(target))
            except BaseException:
                failed.touch()
                raise
    while not target.is_file():
        if failed.is_file():
            raise ValueError(f"{target}: process 0 could not write it; its log says why.")
        time.sleep(LOOK_AGAIN_S)
