# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rectified-flow loss: squared error of the velocity over the noisy frames."""

import dataclasses

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float
from mugv_jax.bounds import require_at_least
from mugv_jax.flow.schedule import logit_normal, shift_time

TIMES = ("logit_normal", "uniform")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Distribution of times and loss weight of images.

    times: distribution of u, "logit_normal" (published) or "uniform".
    shift: whether to shift u towards noise by the size of the video (published).
    image_weight: loss weight of samples of one frame (0.3 in the released trainer).

    Raises:
        ValueError: an unknown distribution, or a negative weight.
    """

    times: str = "logit_normal"
    shift: bool = True
    image_weight: float = 0.3

    def __post_init__(self):
        if self.times not in TIMES:
            raise ValueError(f"times={self.times!r} must be one of {', '.join(TIMES)}.")
        require_at_least(0, self, "image_weight")


def draw_times(key: Array, batch: int, ratio: float, config: LossConfig) -> Float[Array, "b"]:
    """Times in [0, 1] of a batch, shifted towards noise by `ratio`; 1 is no shift."""
    if config.times == "uniform":
        u = jax.random.uniform(key, (batch,))
    else:
        u = logit_normal(jax.random.normal(key, (batch,)))
    return shift_time(u, ratio)


def velocity_loss(
    v: Float[Array, "b f h w c"], target: Float[Array, "b f h w c"], noisy: Bool[Array, "b f"]
) -> Float[Array, "b"]:
    """Mean of (v - target)^2 over the noisy frames of each sample, in float32.

    Given frames are excluded; a sample without noisy frames has loss 0.
    """
    error = v.astype(jnp.float32) - target.astype(jnp.float32)
    per_frame = jnp.mean(jnp.square(error), axis=(2, 3, 4))
    weight = noisy.astype(jnp.float32)
    return jnp.sum(per_frame * weight, axis=1) / jnp.maximum(jnp.sum(weight, axis=1), 1)
