# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The Wan VAE in as much memory as one latent takes, however many there are.

    y_0, cache = vae(x_0);   y_k, cache = vae(x_k, cache)

x_0 is the first frame or latent, x_k the next four frames or the next latent. Equal to the whole at
once, since the VAE is causal.
"""

from typing import Any

import einops
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.nn.wan.vae import WanVAE


def encode(vae: WanVAE, variables: Any, pixels: Pixels, method: str = "encode") -> Latent:
    """k + 1 latents of 4 k + 1 frames; `method` is one of the VAE's that encode.

    Raises:
        ValueError: another number of frames.
    """
    frames, factor = pixels.shape[1], vae.config.time_factor
    if frames % factor != 1 % factor:
        raise ValueError(f"{frames} frames must be {factor} k + 1: cut some, or repeat the last.")
    return _in_parts(vae, variables, pixels, factor, method)


def decode(vae: WanVAE, variables: Any, z: Latent, method: str = "decode") -> Pixels:
    """4 k + 1 frames of k + 1 latents; `method` is one of the VAE's that decode."""
    return _in_parts(vae, variables, z, 1, method)


def _in_parts(
    vae: WanVAE, variables: Any, x: Float[Array, "b f ..."], size: int, method: str
) -> Float[Array, "b f2 ..."]:
    first, cache = vae.apply(variables, x[:, :1], method=method, mutable="cache")
    following = vae.clone(first=False)

    def part(cache: Any, x: Array) -> tuple[Any, Array]:
        y, cache = following.apply({**variables, **cache}, x, method=method, mutable="cache")
        return cache, y

    parts = einops.rearrange(x[:, 1:], "b (k f) ... -> k b f ...", f=size)
    _, y = jax.lax.scan(part, cache, parts)
    return jnp.concatenate([first, einops.rearrange(y, "k b f ... -> b (k f) ...")], axis=1)
