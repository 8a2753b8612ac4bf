# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens divided into tiles of a single group each, so that a kernel reads its vectors once a tile.

A group of m tokens makes ceil(m / size) tiles, so n / size + g tiles are always enough. A kernel
runs that many programs, and the tiles that are not needed are empty.
"""

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int


def tile_table(group: Int[Array, "n"], groups: int, size: int) -> Int[Array, "3 tiles"]:
    """Group, first token and end of every tile of at most `size` tokens.

    group: group of every token; it never decreases.
    groups: number of groups, including those without tokens.
    """
    n = group.shape[0]
    number = jnp.arange(groups + 1)
    # A binary search would be a sequence of dependent steps, each a kernel launch on a GPU.
    first = jnp.sum(group[None] < number[:, None], axis=1).astype(jnp.int32)
    tiles = -(-(first[1:] - first[:-1]) // size)
    end_tile = jnp.sum(jnp.where(number[None, 1:] <= number[1:, None], tiles[None], 0), axis=1)
    tile = jnp.arange(-(-n // size) + groups)
    of_tile = jnp.minimum(jnp.sum(tile[:, None] >= end_tile[None], axis=1), groups - 1)
    start = first[of_tile] + (tile - (end_tile - tiles)[of_tile]) * size
    end = first[of_tile + 1]
    start = jnp.minimum(start, end)
    return jnp.stack([of_tile, start, jnp.minimum(start + size, end)]).astype(jnp.int32)


def group_sums(
    partial: Float[Array, "b tiles d"], table: Int[Array, "3 tiles"], groups: int
) -> Float[Array, "b g d"]:
    """Float32 sums over the tiles of each group.

    partial: sums over the tokens of each tile.
    """
    member = jax.nn.one_hot(table[0], groups, dtype=jnp.float32)
    return jnp.einsum("btd,tg->bgd", partial, member, precision=jax.lax.Precision.HIGHEST)
