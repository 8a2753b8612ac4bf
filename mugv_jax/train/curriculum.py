# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs that follow each other, each from the weights of the one before (arXiv:2510.17519, 4.2).

    FOLDER/STAGE                        a run like any other
    FOLDER/STAGE/expanded.safetensors   weights it started from, where it is larger than the last

All that is remembered is on disk: a stage whose newest checkpoint is that of its last step is
finished, another one goes on from its newest checkpoint.
"""

import dataclasses
import itertools
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from mugv_jax.nn.mugdit.sizes import DiTConfig
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
LOOK_AGAIN_S = 1.0  # for a file that another process writes


@dataclasses.dataclass(frozen=True)
class Stage:
    """One run; `name` is that of its folder."""

    name: str
    config: DiTTrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curriculum:
    """Stages in their order.

    noise: of an expansion between two stages, see `Expansion`.
    devices: to train on; all by default.

    Raises:
        ValueError: stages that cannot all be run; none has been started then.
    """

    stages: Sequence[Stage]
    noise: float = 0.0
    devices: Sequence[jax.Device] | None = None

    def __post_init__(self):
        names = [stage.name for stage in self.stages]
        for name in sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two stages are called {name!r}: each needs a folder of its own.")
        count = jax.device_count() if self.devices is None else len(self.devices)
        for stage in self.stages:
            try:
                learning_rate(stage.config.optimizer, stage.config.run.steps)
                stage.config.mesh.sizes(count)
            except ValueError as error:
                raise ValueError(f"stage {stage.name}: {error}") from error
        for before, stage in itertools.pairwise(self.stages):
            self.expansion(before, stage)

    def expansion(self, before: Stage, stage: Stage) -> Expansion | None:
        """What makes the model of `before` that of `stage`; None where it is that already.

        Raises:
            ValueError: no expansion does.
        """
        old, new = before.config.dit, stage.config.dit
        if old == new:
            return None
        try:
            return _expansion(old, new, self.noise, stage.config.run.seed)
        except ValueError as error:
            raise ValueError(
                f"stage {stage.name} cannot start from stage {before.name}: {error}"
            ) from error

    def run(self, folder: Path) -> bool:
        """Goes on with the first stage that is not finished; whether all are at the end.

        They are not where a stage was told to stop, see `train`.

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
            if train(config, place, self.devices) < last:
                return False
        return True

    def _starting(self, folder: Path, number: int) -> DiTTrainConfig:
        """The config of a stage, with the weights that it starts from."""
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
    """The step of a run's newest complete checkpoint; 0 where there is none."""
    folder = run / FOLDER
    return max((int(step.name) for step in steps(folder)), default=0) if folder.is_dir() else 0


def _expansion(old: DiTConfig, new: DiTConfig, noise: float, seed: int) -> Expansion:
    factor = new.width // old.width
    expansion = Expansion(
        factor=factor, depth=new.depth, noise=noise if factor > 1 else 0.0, seed=seed
    )
    larger = expansion.config(old)
    if larger != new:
        raise ValueError(
            f"{old} can become {larger}, but the config's dit is {new}: width and num_heads grow "
            "by the same whole factor, depth may grow, and nothing else may differ."
        )
    return expansion


def write_expanded(weights: Path, target: Path, expansion: Expansion, *, ema: bool) -> None:
    """The larger model of `weights` to the file `target`, unless it is there.

    Of several processes the first writes. All open the weights: a training checkpoint is opened
    together. The others look for the file, as a barrier of devices would give up long before.

    Raises:
        ValueError: weights that cannot be read, or a file that cannot be written.
    """
    if target.is_file():
        return
    with open_source(weights, ema=ema) as source:
        larger = expanded(source, expansion)
        if jax.process_index() == 0:
            log.info("expanding the weights of %s.", weights)
            target.parent.mkdir(parents=True, exist_ok=True)
            write(larger, Target(target))
    while not target.is_file():
        time.sleep(LOOK_AGAIN_S)
