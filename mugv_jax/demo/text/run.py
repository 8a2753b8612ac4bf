# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the text encoder on captions: deterministic, a few minutes on a CPU."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.data.batches import Batches
from mugv_jax.demo.text.denoise import MaskedText, Noise
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.text.vocabulary import Vocabulary, train_vocabulary
from mugv_jax.demo.world.captions import caption
from mugv_jax.demo.world.scene import WORLDS, World, draw
from mugv_jax.nn.text.t5 import T5Config, T5Encoder
from mugv_jax.sharding import mesh as meshes
from mugv_jax.train.loop import run_in
from mugv_jax.train.metrics import Clock
from mugv_jax.train.optimizer import OptimizerConfig
from mugv_jax.train.program import Program
from mugv_jax.train.train_config import (
    CheckpointConfig,
    EmaConfig,
    LogConfig,
    RunConfig,
    TrainConfig,
)
from mugv_jax.weights.load import load

WARMUP_STEPS = 100  # or a tenth of all steps if that is less
# (pattern, factor of the learning rate, weight decay). The relative bias starts near 0, and must
# grow to several units before a token attends to its neighbour. The scale of the final norm stays
# 1, so that states keep a mean square of 1.
GROUPS = (("relative_bias", 10.0, 0.0), ("final_norm", 0.0, 0.0))


class TrainedText(NamedTuple):
    """A trained encoder, its weights in float32, and its vocabulary."""

    config: T5Config
    params: Any
    vocabulary: Vocabulary


@dataclasses.dataclass(frozen=True)
class CaptionSteps:
    """Batches of noisy captions by the number of the step.

    rows: all captions as ids.
    """

    rows: Sequence[Sequence[int]]
    noise: Noise
    config: TextTrainConfig

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.config.seed, step))
        chosen = rng.integers(len(self.rows), size=self.config.batch_size)
        return self.noise([self.rows[i] for i in chosen], rng)


@dataclasses.dataclass(frozen=True)
class Reading:
    """How batches are read ahead, as in `DataConfig`."""

    threads: int = 1
    prefetch: int = 4
    workers: int = 0


def draw_captions(
    split: str, count: int, *, seed: int = 0, world: World = WORLDS["full"]
) -> list[str]:
    """Captions of the first `count` scenes of a split, without rendering them."""
    return [caption(draw(split, number, seed=seed, world=world)) for number in range(count)]


def train(config: TextTrainConfig, folder: Path) -> TrainedText:
    """Trains a vocabulary and an encoder on captions of the full demo world.

    folder: checkpoints and metrics of the run, which resumes from its newest checkpoint.

    Raises:
        KeyboardInterrupt: the run was told to stop; it is saved.
    """
    captions = draw_captions("train", config.captions, seed=config.seed)
    vocabulary = Vocabulary(train_vocabulary(captions))
    rows = [vocabulary.encode(each) for each in captions]
    noise = Noise(
        vocabulary,
        config.length,
        masked=config.masked,
        replaced=config.replaced,
        kept=config.kept,
        spelled=config.spelled,
    )
    sizes = config.encoder(vocabulary.size)
    objective = MaskedText(sizes=sizes, module=T5Encoder(sizes, jnp.float32))
    mesh = meshes.make_mesh(devices=jax.local_devices()[:1])
    digest = f"{len(rows)} captions in batches of {config.batch_size}, seed {config.seed}"
    batches = Batches(CaptionSteps(rows, noise, config), Reading(), digest)
    program = Program(_run_config(config), mesh, objective)
    if run_in(folder, program, batches, dict, clock=Clock(), evaluation=None) < config.steps:
        raise KeyboardInterrupt
    _, variables = load(folder, objective.kind, dtype="float32")
    return TrainedText(sizes, variables["params"], vocabulary)


def _run_config(config: TextTrainConfig) -> TrainConfig:
    return TrainConfig(
        optimizer=OptimizerConfig(
            learning_rate=config.learning_rate,
            schedule="cosine",
            warmup_steps=min(WARMUP_STEPS, config.steps // 10),
            groups=GROUPS,
        ),
        ema=EmaConfig(enabled=False),
        run=RunConfig(steps=config.steps, seed=config.seed, dtype="float32"),
        checkpoint=CheckpointConfig(every=500, keep=1),
        log=LogConfig(every=10, validate_every=0),
    )
