# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training of the text encoder on captions: deterministic, a few minutes on a CPU.

The trained encoder is a folder in the published layout of T5:

config.json    model.safetensors (bfloat16)    spiece.model
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.data.batches import Batches
from mugv_jax.data.data_config import Reading
from mugv_jax.data.whole_files import write_whole
from mugv_jax.demo.text.denoise import KIND, MaskedText, Noise
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
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load
from mugv_jax.weights.staging import refuse_existing
from mugv_jax.weights.tables.t5 import published_config

WEIGHTS, CONFIG, PIECES = "model.safetensors", "config.json", "spiece.model"
DTYPE = "bfloat16"
WARMUP_STEPS = 100  # or a tenth of all steps if that is less
# (pattern, factor of the learning rate, weight decay). The relative bias starts near 0, and must
# grow to several units before a token attends to its neighbour. The scale of the final norm stays
# 1, so that states keep a mean square of 1.
GROUPS = (("relative_bias", 10.0, 0.0), ("final_norm", 0.0, 0.0))


class TrainedText(NamedTuple):
    """A trained encoder, its weights in float32, and its vocabulary.

    run: folder of the training run.
    """

    run: Path
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

    def __len__(self) -> int:
        return self.noise.config.steps

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        config = self.noise.config
        rng = np.random.default_rng((config.seed, step))
        chosen = rng.integers(len(self.rows), size=config.batch_size)
        return self.noise([self.rows[i] for i in chosen], rng)


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
    sizes = config.encoder(vocabulary.size)
    objective = MaskedText(sizes=sizes, module=T5Encoder(sizes, jnp.float32))
    mesh = meshes.make_mesh(devices=jax.local_devices()[:1])
    digest = f"{len(rows)} captions in batches of {config.batch_size}, seed {config.seed}"
    batches = Batches(CaptionSteps(rows, Noise(vocabulary, config)), Reading(threads=1), digest)
    program = Program(_run_config(config), mesh, objective)
    if run_in(folder, program, batches, dict, clock=Clock(), evaluation=None) < config.steps:
        raise KeyboardInterrupt
    _, variables = load(folder, KIND, dtype="float32")
    return TrainedText(folder, sizes, variables["params"], vocabulary)


def write(trained: TrainedText, folder: Path, *, overwrite: bool = False) -> None:
    """Writes vocabulary, config and weights, each as a whole file, the weights last.

    Raises:
        ValueError: the folder has weights, and `overwrite` is false.
    """
    refuse_existing(folder / WEIGHTS, overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / PIECES, trained.vocabulary.model)
    described = {**published_config(trained.config), "torch_dtype": DTYPE}
    write_whole(folder / CONFIG, (json.dumps(described, indent=2) + "\n").encode())
    convert(trained.run, folder / WEIGHTS, kind=KIND, dtype=DTYPE, overwrite=overwrite)


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
