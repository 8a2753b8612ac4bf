# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Modulation on NVIDIA GPUs: Pallas kernels by way of Triton.

One program takes one tile of tokens (`modulate_tiles.py`) and has the vectors of its group in
registers while it goes through them, some tokens at a time. Sums over tokens are kept in registers
as well and written once per tile. A row of d values is a block of the next power of two, of which
the end is masked: it costs lanes, not bandwidth.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as pltriton

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select
from mugv_jax.kernels.modulate_tiles import group_sums, tile_table
from mugv_jax.kernels.modulate_triton_rotate import norm_rotate, norm_rotate_backward
from mugv_jax.kernels.modulate_xla import EPSILON

__all__ = [
    "gate_residual",
    "gate_residual_backward",
    "gate_residual_norm_modulate",
    "gate_residual_norm_modulate_backward",
    "norm_modulate",
    "norm_modulate_backward",
    "norm_rotate",
    "norm_rotate_backward",
]


@dataclasses.dataclass(frozen=True)
class Tuning:
    """tokens: of a tile.  at_once: of them in one step.  warps: of 32 threads, of a program.

    prefetch: the next step's tokens are asked for before this one's are computed.
    """

    tokens: int
    at_once: int
    warps: int
    prefetch: bool


# By registers: as many tokens on their way as fit beside the vectors and sums, without spilling.
FORWARD = Tuning(tokens=32, at_once=1, warps=8, prefetch=True)
BACKWARD = Tuning(tokens=64, at_once=1, warps=8, prefetch=True)
FUSED_BACKWARD = Tuning(tokens=64, at_once=1, warps=16, prefetch=True)  # four sums


def norm_modulate(
    x: Float[Array, "b n d"],
    shift: Float[Array, "b g d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    """See `modulate_xla.py`, as of all these."""
    (y,), _ = _over_tiles(_norm_modulate, FORWARD, group, [x], [shift, scale], outputs=1)
    return y


def norm_modulate_backward(
    x: Float[Array, "b n d"],
    scale: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_y: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    (d_x,), sums = _over_tiles(
        _norm_modulate_backward, BACKWARD, group, [x, d_y], [scale], outputs=1, sums=2
    )
    return d_x, *sums


def gate_residual(
    x: Float[Array, "b n d"],
    update: Float[Array, "b n d"],
    bias: Float[Array, "d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
) -> Float[Array, "b n d"]:
    tokens, vectors = [x, update], [bias[None, None], gate]
    (out,), _ = _over_tiles(_gate_residual, FORWARD, group, tokens, vectors, outputs=1)
    return out


def gate_residual_backward(
    update: Float[Array, "b n d"],
    gate: Float[Array, "b g d"],
    group: Int[Array, "n"],
    d_out: Float[Array, "b n d"],
) -> tuple[Float[Array, "b n d"], Float[Array, "b g d"], Float[Array, "b g d"]]:
    (d_update,), sums = _over_tiles(
        _gate_residual_backward, BACKWARD, group, [update, d_out], [gate], outputs=1, sums=2
    )
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
    tokens, vectors = [x, update], [bias[None, None], gate, shift, scale]
    (out, y), _ = _over_tiles(
        _gate_residual_norm_modulate, FORWARD, group, tokens, vectors, outputs=2
    )
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
    (d_x, d_update), sums = _over_tiles(
        _gate_residual_norm_modulate_backward,
        FUSED_BACKWARD,
        group,
        [out, update, d_out, d_y],
        [gate, scale],
        outputs=2,
        sums=4,
    )
    return d_x, d_update, *sums


# What a program computes of some tokens (r d), of which `inside` marks what is not padding:
# (inside, width, tokens, vectors) -> (outputs, what to sum over tokens). Padding is zero in
# `tokens` and `vectors`, and must be so again in what is summed.
Compute = Callable[..., tuple[list[Array], list[Array]]]


def _norm_modulate(inside, width, tokens, vectors):
    (x,), (shift, scale) = tokens, vectors
    x_hat, _ = _normalized(inside, width, x)
    return [x_hat * (1 + scale) + shift], []


def _norm_modulate_backward(inside, width, tokens, vectors):
    (x, d_y), (scale,) = tokens, vectors
    x_hat, inverse = _normalized(inside, width, x)
    d_y = _wide(d_y)
    d_hat = d_y * (1 + scale)
    d_x = d_hat - _mean(d_hat, width) - x_hat * _mean(d_hat * x_hat, width)
    return [inverse * d_x], [d_y, d_y * x_hat]


def _gate_residual(inside, width, tokens, vectors):
    del inside, width
    (x, update), (bias, gate) = tokens, vectors
    return [_wide(x) + gate * (_wide(update) + bias)], []


def _gate_residual_backward(inside, width, tokens, vectors):
    del inside, width
    (update, d_out), (gate,) = tokens, vectors
    d_out = _wide(d_out)
    return [gate * d_out], [d_out, d_out * _wide(update)]


def _gate_residual_norm_modulate(inside, width, tokens, vectors):
    bias, gate, *modulation = vectors
    (out,), _ = _gate_residual(inside, width, tokens, [bias, gate])
    rounded = out.astype(tokens[0].dtype)
    (y,), _ = _norm_modulate(inside, width, [rounded], modulation)
    return [rounded, y], []


def _gate_residual_norm_modulate_backward(inside, width, tokens, vectors):
    (out, update, d_out, d_y), (gate, scale) = tokens, vectors
    (d_norm,), norm_sums = _norm_modulate_backward(inside, width, [out, d_y], [scale])
    d_x = jnp.where(inside, _wide(d_out) + d_norm, 0.0)
    (d_update,), sums = _gate_residual_backward(inside, width, [update, d_x], [gate])
    return [d_x, d_update], [*sums, *norm_sums]


def _wide(x: Array) -> Array:
    return x.astype(jnp.float32)


def _mean(x: Array, width: int) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True) / width


def _normalized(inside: Array, width: int, x: Array) -> tuple[Array, Array]:
    x = _wide(x)
    x = jnp.where(inside, x - _mean(x, width), 0.0)
    inverse = jax.lax.rsqrt(_mean(x * x, width) + EPSILON)
    return x * inverse, inverse


def _over_tiles(
    compute: Compute,
    tuning: Tuning,
    group: Int[Array, "n"],
    tokens: Sequence[Float[Array, "b n d"]],
    vectors: Sequence[Float[Array, "_ _ d"]],
    *,
    outputs: int,
    sums: int = 0,
) -> tuple[Sequence[Float[Array, "b n d"]], Sequence[Float[Array, "b g d"]]]:
    """`compute` of all tokens: outputs like the first of `tokens`, and sums over groups."""
    (b, n, d), groups = tokens[0].shape, vectors[-1].shape[1]
    table = tile_table(group, groups, tuning.tokens)
    tiles = table.shape[1]

    def one_sample(array: Array | jax.ShapeDtypeStruct) -> pl.BlockSpec:
        shared = array.shape[0] == 1  # by all samples
        return pl.BlockSpec((None, *array.shape[1:]), lambda _, i: (0 if shared else i, 0, 0))

    out_shape = [jax.ShapeDtypeStruct((b, n, d), tokens[0].dtype)] * outputs
    out_shape += [jax.ShapeDtypeStruct((b, tiles, d), jnp.float32)] * sums
    results = pl.pallas_call(
        functools.partial(_kernel, compute, tuning, d, len(tokens), len(vectors), outputs),
        grid=(tiles, b),
        in_specs=[
            pl.BlockSpec(table.shape, lambda *_: (0, 0)),
            *map(one_sample, (*tokens, *vectors)),
        ],
        out_specs=[*map(one_sample, out_shape)],
        out_shape=out_shape,
        compiler_params=pltriton.CompilerParams(num_warps=tuning.warps, num_stages=1),
        interpret=select.platform() == "cpu",
        name=compute.__name__.removeprefix("_"),
    )(table, *tokens, *vectors)
    return results[:outputs], [group_sums(part, table, groups) for part in results[outputs:]]


def _kernel(
    compute: Compute,
    tuning: Tuning,
    width: int,
    tokens: int,
    vectors: int,
    outputs: int,
    table_ref,
    *refs,
):
    """One tile of one sample. References: tokens (n d), vectors (g d), outputs, sums (tiles d)."""
    token_refs, refs = refs[:tokens], refs[tokens:]
    vector_refs, refs = refs[:vectors], refs[vectors:]
    output_refs, sum_refs = refs[:outputs], refs[outputs:]
    tile, block = pl.program_id(0), pl.next_power_of_2(width)
    group, start, end = table_ref[0, tile], table_ref[1, tile], table_ref[2, tile]
    columns = jnp.arange(block)
    in_row = columns < width

    def vector(ref) -> Array:
        row = jnp.minimum(group, ref.shape[0] - 1)  # one for all groups, or one for each
        return _wide(pltriton.load(ref.at[row, columns], mask=in_row, other=0.0))[None]

    def place(step: Array) -> tuple[tuple, Array]:
        rows = start + step * tuning.at_once + jnp.arange(tuning.at_once)
        return (rows[:, None], columns[None]), (rows < end)[:, None] & in_row[None]

    def load(step: Array) -> list[Array]:
        at, inside = place(step)
        return [pltriton.load(ref.at[at], mask=inside, other=0.0) for ref in token_refs]

    def step(number: Array, carry: tuple) -> tuple:
        sums, loaded = carry
        here = loaded if tuning.prefetch else load(number)
        coming = load(number + 1) if tuning.prefetch else loaded
        at, inside = place(number)
        results, terms = compute(inside, width, here, looked_up)
        for ref, result in zip(output_refs, results):
            pltriton.store(ref.at[at], result.astype(ref.dtype), mask=inside)
        return [total + jnp.sum(term, axis=0) for total, term in zip(sums, terms)], coming

    looked_up = [vector(ref) for ref in vector_refs]
    sums = [jnp.zeros(block, jnp.float32) for _ in sum_refs]
    steps = (end - start + tuning.at_once - 1) // tuning.at_once
    sums, _ = jax.lax.fori_loop(
        0, steps, step, (sums, load(jnp.int32(0)) if tuning.prefetch else [])
    )
    for ref, total in zip(sum_refs, sums):
        pltriton.store(ref.at[tile, columns], total, mask=in_row)
