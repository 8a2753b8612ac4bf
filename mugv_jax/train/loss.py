# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The rectified-flow loss of MUG-V: squared velocity error over the noisy frames."""

import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float


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
