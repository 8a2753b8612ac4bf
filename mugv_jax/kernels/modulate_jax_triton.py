# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation on NVIDIA GPUs: Triton kernels, called through jax-triton.

The extra "triton" of this package brings both.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.modulate_tiles import group_sums, tile_table

try:
    import jax_triton

    from mugv_jax.kernels import modulate_jax_triton_kernels as kernels
except ImportError as error:
    raise ValueError(
        f"modulation='jax_triton' cannot be loaded ({error}): install mugv_jax[triton] beside "
        "mugv_jax[cuda13], or choose modulation='triton'."
    ) from error

FORWARD_TOKENS, BACKWARD_TOKENS = 32, 64  # of a tile
FORWARD_WARPS, BACKWARD_WARPS = 8, 16
STAGES = 3  # tokens of a program that are on their way or being computed, at a time
ROWS, ROW_WARPS = 64, 4  # of heads in a program of `norm_rotate`


def norm_modulate(
    x: Float[Array, "b n d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """See `modulate_xla.py`, as of all these."""
    (y,), _ = _over_tiles(kernels.norm_modulate, group, [x], [shift, scale], outputs=1)
    return y


def norm_modulate_backward(
    x: Float[Array, "b n d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_y: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    kernel = kernels.norm_modulate_backward
    (d_x,), sums = _over_tiles(kernel, group, [x, d_y], [scale], outputs=1, sums=2)
    return d_x, *sums


def gate_residual(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    (out,), _ = _over_tiles(kernels.gate_residual, group, [x, update], [bias, gate], outputs=1)
    return out


def gate_residual_backward(
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    kernel = kernels.gate_residual_backward
    (d_update,), sums = _over_tiles(kernel, group, [update, d_out], [gate], outputs=1, sums=2)
    return d_update, *sums


def gate_residual_norm_modulate(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b n d"]]:
    kernel, vectors = kernels.gate_residual_norm_modulate, [bias, gate, shift, scale]
    (out, y), _ = _over_tiles(kernel, group, [x, update], vectors, outputs=2)
    return out, y


def gate_residual_norm_modulate_backward(
    out: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
    d_y: Float[Array, "b n d"],
) -> tuple[
    Float[Array, "b n d"],
    Float[Array, "b n d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
    Float[Array, "b g d"],
]:
    kernel, tokens = kernels.gate_residual_norm_modulate_backward, [out, update, d_out, d_y]
    (d_x, d_update), sums = _over_tiles(kernel, group, tokens, [gate, scale], outputs=2, sums=4)
    return d_x, d_update, *sums


def norm_rotate(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
) -> Float[Array, "b n a e"]:
    arrays, out_shape = (q, scale, cos, sin), jax.ShapeDtypeStruct(q.shape, q.dtype)
    return _over_heads(kernels.norm_rotate, q.shape, arrays, [out_shape])[0]


def norm_rotate_backward(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "e"]]:
    programs = -(-q.size // q.shape[-1] // ROWS)
    out_shape = [
        jax.ShapeDtypeStruct(q.shape, q.dtype),
        jax.ShapeDtypeStruct((programs, q.shape[-1]), jnp.float32),
    ]
    arrays = q, d_out, scale, cos, sin
    d_q, partial = _over_heads(kernels.norm_rotate_backward, q.shape, arrays, out_shape)
    return d_q, jnp.sum(partial, axis=0)


def _over_tiles(
    kernel: Any,
    group: Int[Array, "n"],
    tokens: Sequence[Float[Array, "b n d"]],
    vectors: Sequence[Float[Array, "..."]],
    *,
    outputs: int,
    sums: int = 0,
) -> tuple[Sequence[Float[Array, "b n d"]], Sequence[Float[Array, "b g d"]]]:
    (b, n, d), groups = tokens[0].shape, vectors[-1].shape[1]
    table = tile_table(group, groups, BACKWARD_TOKENS if sums else FORWARD_TOKENS)
    tiles = table.shape[1]
    results = _call(
        kernel,
        (table, *tokens, *vectors),
        out_shape=[jax.ShapeDtypeStruct((b, n, d), tokens[0].dtype)] * outputs
        + [jax.ShapeDtypeStruct((b, tiles, d), jnp.float32)] * sums,
        grid=(tiles, b),
        num_warps=BACKWARD_WARPS if sums else FORWARD_WARPS,
        N=n,
        G=groups,
        D=d,
        TILES=tiles,
        BLOCK=_power_of_two(d),
        STAGES=STAGES,
    )
    return results[:outputs], [group_sums(part, table, groups) for part in results[outputs:]]


def _over_heads(
    kernel: Any, shape: tuple[int, ...], arrays: Sequence[Array], out_shape: Sequence[Any]
) -> Sequence[Array]:
    b, n, a, e = shape
    heads = b * n * a
    return _call(
        kernel,
        arrays,
        out_shape=out_shape,
        grid=(-(-heads // ROWS), 1),
        num_warps=ROW_WARPS,
        HEADS=heads,
        A=a,
        K=e // 2,
        ROWS=ROWS,
        BLOCK=_power_of_two(e // 2),
    )


def _call(kernel: Any, arrays: Sequence[Array], **options: Any) -> Sequence[Array]:
    @jax.custom_batching.sequential_vmap  # the stages of a pipeline batch what they run
    def call(*arrays: Array) -> Sequence[Array]:
        return tuple(jax_triton.triton_call(*arrays, kernel=kernel, **options))

    return call(*arrays)


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()
