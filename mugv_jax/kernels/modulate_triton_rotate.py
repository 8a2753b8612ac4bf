# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""RMSNorm and rotation of queries or keys on NVIDIA GPUs: Pallas kernels by way of Triton.

One program takes some tokens and some of their heads, in two halves of k = e/2 values, of which
each rotates pairs (q[i], q[i + k]). A half is a block of the next power of two, its end masked.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as pltriton

from mugv_jax.axes import Array, Float
from mugv_jax.kernels import select
from mugv_jax.kernels.modulate_xla import EPSILON

TOKENS = 4  # of a program
HEADS = 16  # of a program, at most
WARPS = 8


def norm_rotate(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
) -> Float[Array, "b n a e"]:
    """See `modulate_xla.py`."""
    return _over_heads(_forward, [q], scale, cos, sin, sums=0)[0]


def norm_rotate_backward(
    q: Float[Array, "b n a e"],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "e"]]:
    """See `modulate_xla.py`."""
    d_q, partial = _over_heads(_backward, [q, d_out], scale, cos, sin, sums=1)
    return d_q, jnp.sum(partial, axis=(0, 1, 2)).reshape(-1)


# What a program computes of halves (t a k): (heads, scale, cos, sin, inverse, width) -> (halves of
# the result, halves of what to sum over tokens and heads), where `inverse` is 1 / RMS of heads[0].


def _forward(heads, scale, cos, sin, inverse, width):
    del width
    (q,) = heads
    dtype = q[0].dtype
    # Rounded after the norm and after the scale, which is the published order.
    q_hat = ((_wide(half) * inverse).astype(dtype) for half in q)
    real, imag = (_wide(half * factor.astype(dtype)) for half, factor in zip(q_hat, scale))
    return [real * cos - imag * sin, real * sin + imag * cos], []


def _backward(heads, scale, cos, sin, inverse, width):
    q, (real, imag) = ([_wide(half) for half in halves] for halves in heads)
    d_scaled = [real * cos + imag * sin, imag * cos - real * sin]
    q_hat = [half * inverse for half in q]
    d_hat = [d * _wide(factor) for d, factor in zip(d_scaled, scale)]
    mean = _mean([d * half for d, half in zip(d_hat, q_hat)], width)
    d_q = [inverse * (d - half * mean) for d, half in zip(d_hat, q_hat)]
    return d_q, [d * half for d, half in zip(d_scaled, q_hat)]


def _wide(x: Array) -> Array:
    return x.astype(jnp.float32)


def _mean(halves: Sequence[Array], width: int) -> Array:
    """Over a head of `width` values, whose halves are padded with zeros."""
    return sum(jnp.sum(half, axis=-1, keepdims=True) for half in halves) / width


def _over_heads(
    compute: Callable[..., tuple[list[Array], list[Array]]],
    arrays: Sequence[Float[Array, "b n a e"]],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
    *,
    sums: int,
) -> list[Array]:
    """`compute` of all heads: the result, and sums (b, tiles of tokens, tiles of heads, 2, k)."""
    b, n, a, e = arrays[0].shape
    k, heads = e // 2, min(HEADS, pl.next_power_of_2(a))
    grid = pl.cdiv(n, TOKENS), pl.cdiv(a, heads)

    def one_sample(*shape: int) -> pl.BlockSpec:
        return pl.BlockSpec((None, *shape), lambda *at: (at[-1], *(0 for _ in shape)))

    results = pl.pallas_call(
        functools.partial(_kernel, compute, len(arrays)),
        grid=(*grid, b),
        in_specs=[
            *(one_sample(n, a, 2, k) for _ in arrays),
            pl.BlockSpec((2, k), lambda *_: (0, 0)),
            one_sample(n, k),
            one_sample(n, k),
        ],
        out_specs=[one_sample(n, a, 2, k), *(one_sample(*grid, 2, k) for _ in range(sums))],
        out_shape=[
            jax.ShapeDtypeStruct((b, n, a, 2, k), arrays[0].dtype),
            *(jax.ShapeDtypeStruct((b, *grid, 2, k), jnp.float32) for _ in range(sums)),
        ],
        compiler_params=pltriton.CompilerParams(num_warps=WARPS, num_stages=1),
        interpret=select.platform() == "cpu",
        name=f"norm_rotate{compute.__name__}",
    )(*(x.reshape(b, n, a, 2, k) for x in arrays), scale.reshape(2, k), cos, sin)
    return [results[0].reshape(b, n, a, e), *results[1:]]


def _kernel(compute, arrays, *refs):
    """Some tokens and heads of one sample; references (n a 2 k), (2 k), (n k), and the outputs."""
    head_refs, (scale_ref, cos_ref, sin_ref, out_ref, *sum_refs) = refs[:arrays], refs[arrays:]
    n, a, _, k = out_ref.shape
    block, heads = pl.next_power_of_2(k), min(HEADS, pl.next_power_of_2(a))
    tile, head_tile = pl.program_id(0), pl.program_id(1)
    token = tile * TOKENS + jnp.arange(TOKENS)
    head = head_tile * heads + jnp.arange(heads)
    lane = jnp.arange(block)
    in_half = lane < k
    in_tokens = (token < n)[:, None] & in_half[None]
    inside = in_tokens[:, None] & (head < a)[None, :, None]

    def place(ref, half: int):
        return ref.at[token[:, None, None], head[None, :, None], jnp.int32(half), lane[None, None]]

    def load_halves(ref) -> list[Array]:
        return [pltriton.load(place(ref, i), mask=inside, other=0.0) for i in range(2)]

    def load_angles(ref) -> Array:
        at = ref.at[token[:, None], lane[None]]
        return pltriton.load(at, mask=in_tokens, other=0.0)[:, None]

    values = [load_halves(ref) for ref in head_refs]
    scale = [
        pltriton.load(scale_ref.at[jnp.int32(i), lane], mask=in_half, other=0.0)[None, None]
        for i in range(2)
    ]
    inverse = jax.lax.rsqrt(_mean([_wide(half) ** 2 for half in values[0]], 2 * k) + EPSILON)
    angles = load_angles(cos_ref), load_angles(sin_ref)
    results, terms = compute(values, scale, *angles, inverse, 2 * k)
    for i, result in enumerate(results):
        pltriton.store(place(out_ref, i), result.astype(out_ref.dtype), mask=inside)
    for ref in sum_refs:
        for i, term in enumerate(terms):
            total = jnp.sum(term, axis=(0, 1))
            pltriton.store(ref.at[tile, head_tile, jnp.int32(i), lane], total, mask=in_half)
