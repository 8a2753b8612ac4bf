# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Fresh noise between the steps of a sampler, as models of few steps are trained for.

    x_0    = x_t + t v(x_t, t)                                                                   (1)
    x_(t') = (1 - t') x_0 + t' noise                                                             (2)

In place of an Euler step from t to t', the estimate (1) of the clean latents is noised again to the
next time: the multistep sampling of consistency models (arXiv:2303.01469, algorithm 1), which DMD2
uses as well (arXiv:2405.14867, section 4.4).

The noise of a row is drawn from the row's own key and the number of the step, so that a video does
not depend on the others of its batch.
"""

from collections.abc import Sequence

import einops
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import UInt32

from mugv_jax.axes import Array, Bool, Float, Latent

NoiseKeys = UInt32[Array, "b _words"]  # data of the PRNG key of every row


def seed_keys(seeds: Sequence[int]) -> NoiseKeys:
    """Keys of rows whose first noise is drawn from these seeds."""
    return jnp.stack([jax.random.key_data(jax.random.key(seed)) for seed in seeds])


def split_keys(key: Array, rows: int) -> NoiseKeys:
    """Keys of `rows` rows, from one key."""
    return jax.random.key_data(jax.random.split(key, rows))


def step_noise(
    keys: NoiseKeys, number: ArrayLike, shape: tuple[int, ...]
) -> Float[Array, "b f h w c"]:
    """Standard normal noise (f, h, w, c) of every row before step `number`, counted from 1."""

    def of_row(data: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(jax.random.wrap_key_data(data), number), shape)

    return jax.vmap(of_row)(keys)


def renoised(
    x_0: Latent, t: ArrayLike, noisy: Bool[Array, "b f"], keys: NoiseKeys, number: ArrayLike
) -> Latent:
    """Estimates `x_0` noised to time `t` by (2) in noisy frames; given frames do not change."""
    noise = step_noise(keys, number, x_0.shape[1:]).astype(x_0.dtype)
    again = (1 - t) * x_0 + t * noise  # pyright: ignore[reportOperatorIssue] - numbers, not bool
    return jnp.where(einops.rearrange(noisy, "b f -> b f 1 1 1"), again, x_0)


def check_renoise(renoise: bool, reuse_threshold: float) -> None:
    """Raise a ValueError for reuse of velocities between steps that noise separates."""
    if renoise and reuse_threshold:
        raise ValueError(
            f"reuse threshold={reuse_threshold} with renoise: velocities change with the noise of "
            "every step, so none can be used again. Set the threshold to 0."
        )
