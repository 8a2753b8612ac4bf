# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion between a latent video and its patches as tokens."""

import einops
import jax.numpy as jnp

from mugv_jax.axes import Array, Float


def patchify(x: Float[Array, "b f h w c"], patch: tuple[int, int, int]) -> Array:
    """Tokens of all patches; rows and columns are zero-padded at the end to whole patches."""
    _, rows, columns = patch
    x = jnp.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % rows), (0, -x.shape[3] % columns), (0, 0)))
    return einops.rearrange(x, "b f (h r) (w q) c -> b (f h w) (r q c)", r=rows, q=columns)


def unpatchify(
    tokens: Float[Array, "b n p"], shape: tuple[int, int, int], patch: tuple[int, int, int]
) -> Float[Array, "b f h w c"]:
    """Inverse of `patchify` for a latent of `shape` (f, h, w): the padding is cropped."""
    frames, height, width = shape
    _, rows, columns = patch
    grid = {"f": frames, "h": -(-height // rows), "r": rows, "q": columns}
    x = einops.rearrange(tokens, "b (f h w) (r q c) -> b f (h r) (w q) c", **grid)
    return x[:, :, :height, :width]
