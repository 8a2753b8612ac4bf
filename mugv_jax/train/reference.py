# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The reference of post-training: the policy at the start of the run, which stays as it is."""

from mugv_jax.axes import Array, Float

REFERENCE = "reference"  # its name among the policies


def reward(
    policy: Float[Array, "b"], reference: Float[Array, "b"], beta: float
) -> Float[Array, "b"]:
    """Reward -beta / 2 (e_policy - e_reference) of samples, from both networks' errors.

    An error is the mean of |v(x_t, t) - (x_0 - noise)|^2 over a sample's noisy frames
    (arXiv:2311.12908).
    """
    return -beta / 2 * (policy - reference)
