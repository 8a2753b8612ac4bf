# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Loss on held-out samples at fixed times and noise: comparable between steps and runs."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float
from mugv_jax.flow.path import frame_times
from mugv_jax.train.loss import LossConfig, shifted, velocity_loss
from mugv_jax.train.step import Batch, Velocity, constrain_batch, noised
from mugv_jax.train.tasks import TASKS, noisy_frames

TIMES_U = (0.1, 0.3, 0.5, 0.7, 0.9)  # before the shift


@dataclasses.dataclass(frozen=True, eq=False)
class Validation:
    """`(trained, frozen, batch) -> (sums (task, time), weight)` over the samples that count.

    Tasks are those of `validation_tasks`, times those of TIMES_U.
    """

    velocity: Velocity
    loss: LossConfig

    def __call__(
        self, trained: Any, frozen: Any, batch: Batch
    ) -> tuple[Float[Array, "k u"], Float[Array, ""]]:
        weight = batch["weight"]
        x_0 = constrain_batch(batch["latent"].astype(jnp.float32))
        noise = constrain_batch(fixed_noise(batch["sample"], x_0.shape[1:]))

        def at(task_and_u: tuple[Array, Array]) -> Float[Array, ""]:
            task, u = (jnp.broadcast_to(each, x_0.shape[:1]) for each in task_and_u)
            noisy = noisy_frames(jax.random.key(0), task, x_0.shape[1])
            t = frame_times(shifted(u, x_0.shape[1:4], self.loss), noisy)
            part = noised(x_0, noise, t, noisy=noisy, task=task, condition=batch, loss=self.loss)
            v = self.velocity(trained, frozen, part.x_t, part.t, part.condition)
            return jnp.sum(velocity_loss(v, part.target, noisy) * weight)

        tasks = validation_tasks(x_0.shape[1])
        grid = jnp.meshgrid(
            jnp.asarray([TASKS.index(name) for name in tasks]),
            jnp.asarray(TIMES_U, jnp.float32),
            indexing="ij",
        )
        sums = jax.lax.map(at, (grid[0].ravel(), grid[1].ravel()))
        return sums.reshape(grid[0].shape), jnp.sum(weight)


def validation_tasks(frames: int) -> tuple[str, ...]:
    """The tasks that samples of so many latent frames are measured on."""
    return ("t2i",) if frames == 1 else ("t2v", "i2v")


def fixed_noise(sample: Array, shape: tuple[int, ...]) -> Float[Array, "b f h w c"]:
    """Standard normal noise, a function of each sample's index."""
    base = jax.random.key(0)
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(base, i), shape))(sample)
