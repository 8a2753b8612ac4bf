# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The rectified-flow loss of MUG-V: squared velocity error over the noisy frames."""

import dataclasses

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float
from mugv_jax.flow.schedule import logit_normal, shift_ratio, shift_time

TIMES = ("logit_normal", "uniform")
STRIDE_PX = 8  # pixels of a latent's side: the shift is defined by the size in pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """How times are drawn and samples weighed.

    times: distribution of u, "logit_normal" (published) or "uniform".
    shift: shift u towards noise by the video's size (published), or leave it.
    image_weight: of samples of one frame (the released trainer: 0.3).

    Raises:
        ValueError: an unknown distribution, or a negative weight.
    """

    times: str = "logit_normal"
    shift: bool = True
    image_weight: float = 0.3

    def __post_init__(self):
        if self.times not in TIMES:
            raise ValueError(f"times={self.times!r} must be one of {', '.join(TIMES)}.")
        if self.image_weight < 0:
            raise ValueError(f"image_weight={self.image_weight} must not be negative.")


def draw_times(
    key: Array, batch: int, latent_shape: tuple[int, int, int], config: LossConfig
) -> Float[Array, "b"]:
    """Times in [0, 1] of samples with latents of (f, h, w)."""
    if config.times == "uniform":
        u = jax.random.uniform(key, (batch,))
    else:
        u = logit_normal(jax.random.normal(key, (batch,)))
    return shifted(u, latent_shape, config)


def shifted(
    u: Float[Array, "b"], latent_shape: tuple[int, int, int], config: LossConfig
) -> Float[Array, "b"]:
    """`u`, shifted by the size of the video if `config` says so."""
    if not config.shift:
        return u
    frames, height, width = latent_shape
    return shift_time(u, shift_ratio(height * STRIDE_PX, width * STRIDE_PX, frames))


def velocity_loss(
    v: Float[Array, "b f h w c"], target: Float[Array, "b f h w c"], noisy: Bool[Array, "b f"]
) -> Float[Array, "b"]:
    """Mean of (v - target)^2 over the noisy frames of each sample, in float32.

    Given frames have nothing to predict and do not count; a sample without a noisy frame is 0.
    """
    error = v.astype(jnp.float32) - target.astype(jnp.float32)
    per_frame = jnp.mean(jnp.square(error), axis=(2, 3, 4))
    weight = noisy.astype(jnp.float32)
    return jnp.sum(per_frame * weight, axis=1) / jnp.maximum(jnp.sum(weight, axis=1), 1)
