# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The straight path between data and noise (rectified flow, arXiv:2209.03003, time reversed)."""

import einops
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Latent

MODEL_TIME = 1000.0  # the published networks count time in thousandths


def interpolate(x_0: Latent, noise: Latent, t: Float[Array, "b f"]) -> tuple[Latent, Latent]:
    """Noisy latent and its target velocity.

        x_t = (1 - t) x_0 + t noise,   v = x_0 - noise = -dx_t/dt

    `t` in [0, 1] per frame: 1 is pure noise, 0 a given frame.
    """
    t = einops.rearrange(t, "b f -> b f 1 1 1").astype(x_0.dtype)
    return (1 - t) * x_0 + t * noise, x_0 - noise


def frame_times(t: Float[Array, "b"], noisy: Array) -> Float[Array, "b f"]:
    """Time of every frame: `t` where `noisy` (bool b f), 0 for given frames."""
    return jnp.where(noisy, t[:, None], jnp.zeros((), t.dtype))


def of_rows(x: Float[Array, "b"]) -> Float[Array, "b 1 1 1 1"]:
    """Values of rows, as latents are multiplied by them."""
    return einops.rearrange(x, "b -> b 1 1 1 1")
