# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Validation during training: loss on held-out data and sampled videos."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from mugv_jax.axes import Array
from mugv_jax.data.batches import Validation
from mugv_jax.data.placement import PlacedBatches
from mugv_jax.sharding import mesh as meshes
from mugv_jax.train.metrics import Scalars, Writer
from mugv_jax.train.objectives.flow_matching import VALIDATION_TIMES, validation_tasks
from mugv_jax.train.preview import as_frames, sample_latent
from mugv_jax.train.program import Program
from mugv_jax.train.state import TrainState
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.registry import MODELS

SAMPLES = 4  # logged per evaluation
VAE = "mugv_vae"


class Evaluation:
    """Validation loss and samples on held-out data, of the EMA weights if EMA is enabled.

    Raises:
        ValueError: samples are to be decoded and `log.vae` is not a VAE.
    """

    def __init__(self, program: Program, held_out: Validation):
        self._program, self._held_out = program, held_out
        self._vae: tuple[Any, Any] | None = None
        log = program.config.log
        if log.vae and log.sample_every:
            read_config(log.vae, VAE)  # fail at the start, not at the first sample

    def losses(self, state: TrainState) -> Scalars:
        """`validation/loss`, the mean over tasks and times, and the loss of each task and time."""
        total: dict[str, np.ndarray] = {}
        count: dict[str, float] = {}
        for batch in self._batches():
            losses, weight = jax.device_get(self._program.validate(state, batch))
            for task, loss in zip(validation_tasks(batch["latent"].shape[1]), losses):
                total[task] = total.get(task, 0.0) + loss
                count[task] = count.get(task, 0.0) + float(weight)
        means = {task: total[task] / count[task] for task in total if count[task]}
        scalars = {"validation/loss": float(np.mean(list(means.values())))}
        for task, by_time in means.items():
            scalars[f"validation/{task}"] = float(np.mean(by_time))
            scalars |= {
                f"validation_time/{task}_{u}": float(x) for u, x in zip(VALIDATION_TIMES, by_time)
            }
        return scalars

    def write_samples(self, state: TrainState, step: int, writer: Writer) -> None:
        """Write text-to-video samples for the first held-out captions."""
        batch = next(self._batches())
        latent = sample_latent(self._program, state, batch)
        names = np.asarray(self._gathered(batch["sample"]))[:SAMPLES]
        latents = np.asarray(self._gathered(latent))[:SAMPLES]
        if jax.process_index() > 0:
            return
        # Decode only on the process that writes: a few small videos, on a one-device mesh.
        with meshes.use(meshes.make_mesh(devices=jax.local_devices()[:1])):
            for name, each in zip(names, latents):
                writer.frames(step, f"sample/{name}", as_frames(each, self._load_vae()))

    def _batches(self) -> Iterator[dict[str, Array]]:
        with contextlib.closing(PlacedBatches(iter(self._held_out), self._program.mesh)) as placed:
            yield from placed

    def _gathered(self, x: Array) -> Array:
        """`x` replicated on every process."""
        everywhere = NamedSharding(self._program.mesh, PartitionSpec())
        return jax.jit(lambda x: x, out_shardings=everywhere)(x)

    def _load_vae(self) -> tuple[Any, Any] | None:
        path = self._program.config.log.vae
        if path and self._vae is None:
            config, variables = load(path, VAE)
            self._vae = MODELS[VAE].build(config, self._program.dtype), variables
        return self._vae
