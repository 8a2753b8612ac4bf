# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The reference of post-training: the policy at the start of the run, which stays as it is."""

from collections.abc import Mapping

import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float, Latent
from mugv_jax.flow.denoiser import Denoiser
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import guided_velocity
from mugv_jax.train.noising import NULL_TEXT, drop_captions
from mugv_jax.train.objective import Policies

REFERENCE = "reference"  # its name among the policies


def reward(
    policy: Float[Array, "b"], reference: Float[Array, "b"], beta: float
) -> Float[Array, "b"]:
    """Reward -beta / 2 (e_policy - e_reference) of samples, from both networks' errors.

    An error is the mean of |v(x_t, t) - (x_0 - noise)|^2 over a sample's noisy frames
    (arXiv:2311.12908).
    """
    return -beta / 2 * (policy - reference)


def guided_reference(
    denoiser: Denoiser,
    policies: Policies,
    x: Latent,
    t: Float[Array, "b"],
    noisy: Bool[Array, "b f"],
    *,
    fields: Mapping[str, Array],
    scale: float,
) -> Latent:
    """Velocity of the reference in float32, guided away from the null caption.

    t: time of each row where `noisy`.
    fields: those of the batch that the condition is made of.
    scale: guidance scale; 1 is off.
    """
    negative = None
    if scale != 1:
        text, mask = drop_captions(fields, jnp.ones(t.shape, bool), policies[NULL_TEXT])
        negative = denoiser.condition({**fields, "text": text, "text_mask": mask})
    v = guided_velocity(
        denoiser, policies[REFERENCE], x, t, noisy, denoiser.condition(fields), negative,
        guidance=Guidance(scale=scale),
    )  # fmt: skip
    return v.astype(jnp.float32)
