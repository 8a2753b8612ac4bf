# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Streaming of the Wan VAE: the memory of one latent suffices for a video of any length.

    y_0, cache = vae(x_0);   y_k, cache = vae(x_k, cache)

x_0 is the first frame or latent, x_k the next four frames or the next latent. The results equal
those of the whole video at once, since the VAE is causal.
"""

from typing import Any

import einops
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.nn.wan.vae import WanVAE


def encode(vae: WanVAE, variables: Any, pixels: Pixels, method: str = "encode") -> Latent:
    """Encode 4 k + 1 frames into k + 1 latents; `method` is one of the VAE's encoding methods.

    Raises:
        ValueError: the number of frames is not 4 k + 1.
    """
    check_frames(vae, pixels.shape[1])
    return _in_parts(vae, variables, pixels, vae.config.time_factor, method)


def decode(vae: WanVAE, variables: Any, z: Latent, method: str = "decode") -> Pixels:
    """Decode k + 1 latents into 4 k + 1 frames; `method` is one of the VAE's decoding methods."""
    return _in_parts(vae, variables, z, 1, method)


def check_frames(vae: WanVAE, frames: int) -> None:
    """Check that a number of frames gives whole latents.

    Raises:
        ValueError: it does not.
    """
    factor = vae.config.time_factor
    if frames % factor != 1 % factor:
        raise ValueError(f"{frames} frames must be {factor} k + 1: cut some, or repeat the last.")


def first_part(vae: WanVAE, variables: Any, x: Array, method: str) -> tuple[Array, Any]:
    """Result y_0 for the first frame or latent, and the cache."""
    return vae.apply(variables, x, method=method, mutable="cache")


def next_part(vae: WanVAE, variables: Any, cache: Any, x: Array, method: str) -> tuple[Array, Any]:
    """Result y_k for the next frames or latent, and the new cache."""
    following = vae.clone(first=False)
    return following.apply({**variables, **cache}, x, method=method, mutable="cache")


def _in_parts(
    vae: WanVAE, variables: Any, x: Float[Array, "b f ..."], size: int, method: str
) -> Float[Array, "b f2 ..."]:
    first, cache = first_part(vae, variables, x[:, :1], method)

    def part(cache: Any, x: Array) -> tuple[Any, Array]:
        y, cache = next_part(vae, variables, cache, x, method)
        return cache, y

    parts = einops.rearrange(x[:, 1:], "b (k f) ... -> k b f ...", f=size)
    _, y = jax.lax.scan(part, cache, parts)
    return jnp.concatenate([first, einops.rearrange(y, "k b f ... -> b (k f) ...")], axis=1)
