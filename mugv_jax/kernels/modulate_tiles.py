# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens cut into tiles of one group each, for kernels that look vectors up once per tile.

A group of m tokens makes ceil(m / size) tiles, so at most n / size + g tiles hold all tokens; a
kernel is started that often, and those that are left over are empty.
"""

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int


def tile_table(group: Int[Array, "n"], groups: int, size: int) -> Int[Array, "3 tiles"]:
    """Group, first token and end of every tile of at most `size` tokens.

    group: never decreasing.  groups: how many there are, with or without tokens.
    """
    n = group.shape[0]
    number = jnp.arange(groups + 1)
    # Not a binary search: its steps would follow one another, each a start of its own on a GPU.
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
    """Sums over the tiles of each group, float32."""
    member = jax.nn.one_hot(table[0], groups, dtype=jnp.float32)
    return jnp.einsum("btd,tg->bgd", partial, member, precision=jax.lax.Precision.HIGHEST)
