# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention on TPU (Pallas, Mosaic), forward and backward, arranged for heads of 64 to 96.

`forward` and `backward` mean the same as in `flash.py`. Scores are computed transposed, keys along
the sublanes and queries along the lanes, S = K Q', and so are all products whose result has the
components of a head on one side:

    O' = V' P,    dV' = dO' P',    dK' = Q' dS',    dQ' = K' dS

A matrix unit holds a square of its second operand, 128 x 128 on v5p, and lets the rows of the first
one stream through: a product with a head of 72 on the side of the columns takes as long as with
128, on the side of the rows as long as with 80. Only the two products that contract over a head, S
and dP, pay for 128. Besides, statistics of a query become one number of a row, where scores that
are not transposed need a whole register of equal numbers, and maxima and sums over keys need no
exchange between lanes.

All of d_q of a head stays in vector memory while its keys pass, so that no contributions to it go
through main memory. Exponentials have base 2, and q is scaled by log2(e) / sqrt(e) beforehand. A
block of keys without a visible key is skipped, and only blocks with both kinds are masked.
"""

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import einops
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select
from mugv_jax.kernels.flash import UNSEEN

LANES = 128  # the tokens of a block are a multiple of it
SUBLANES = 8
RESIDENT_BYTES = 16 * 2**20  # largest d_q that stays in vector memory, where it has two buffers
VECTOR_MEMORY_BYTES = 60 * 2**20  # of 64 MiB on v5p
TO_BASE_2 = math.log2(math.e)
FORWARD, BACKWARD = "attention_forward", "attention_backward"  # names in a compiled program


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Most tokens of a block and of a tile; the blocks of 32-bit numbers are half as long.

    tile: queries, and keys, of the tiles of a pair of blocks, which are computed one after another.
    ahead: number of tiles whose scores are computed before they are used.
    """

    queries: int
    keys: int
    tile: int
    ahead: int


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Tokens of a block and of a tile, for queries and for keys."""

    queries: int
    keys: int
    query_tile: int
    key_tile: int
    ahead: int

    def tile(self, i: Any, j: Any) -> tuple[Any, Any]:
        """Slices of the queries and keys of a block, from their first tokens."""
        return pl.ds(i, self.query_tile), pl.ds(j, self.key_tile)


# The shortest schedules for v5p with heads of 72, see docs/benchmarks.md.
FORWARD_SIZES = Sizes(queries=1024, keys=2048, tile=256, ahead=3)
BACKWARD_SIZES = Sizes(queries=2048, keys=1024, tile=512, ahead=1)


def blocks(sizes: Sizes, n: int, s: int, itemsize: int) -> Blocks:
    """Blocks for n queries and s keys of `itemsize` bytes a number."""
    queries, keys = (
        _block(tokens, most * 2 // itemsize)
        for tokens, most in ((n, sizes.queries), (s, sizes.keys))
    )
    query_tile, key_tile = (_tile(block, sizes.tile) for block in (queries, keys))
    return Blocks(queries, keys, query_tile, key_tile, sizes.ahead)


def _block(tokens: int, most: int) -> int:
    """Tokens of a block, for as few blocks as possible and with little padding."""
    return pl.cdiv(tokens, pl.cdiv(tokens, most) * LANES) * LANES


def _tile(block: int, most: int) -> int:
    """Tokens of a tile, which divide the block."""
    return max(tile for tile in range(LANES, most + 1, LANES) if block % tile == 0)


def forward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
) -> tuple[Float[Array, "b n a e"], Float[Array, "b n a"]]:
    """`out` in the dtype of q, and float32 `lse`."""
    (b, n, a, e), s = q.shape, k.shape[1]
    size = blocks(FORWARD_SIZES, n, s, q.dtype.itemsize)
    grid = b * a, pl.cdiv(n, size.queries), pl.cdiv(s, size.keys)
    queries = pl.BlockSpec((None, e, size.queries), lambda h, i, *_: (h, 0, i))
    query_row = pl.BlockSpec((None, 1, size.queries), lambda h, i, *_: (h, 0, i))
    call = pl.pallas_call(
        functools.partial(_forward_kernel, a, size),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=1,
            grid=grid,
            in_specs=[
                queries,
                pl.BlockSpec((None, size.keys, e), lambda h, _, j, *__: (h, j, 0)),
                pl.BlockSpec((None, e, size.keys), lambda h, _, j, *__: (h, 0, j)),
            ],
            out_specs=[queries, query_row],
            scratch_shapes=[
                pltpu.VMEM((1, size.queries), jnp.float32),
                pltpu.VMEM((1, size.queries), jnp.float32),
                pltpu.VMEM((e, size.queries), jnp.float32),
            ],
        ),
        out_shape=[
            jax.ShapeDtypeStruct((b * a, e, grid[1] * size.queries), q.dtype),
            jax.ShapeDtypeStruct((b * a, 1, grid[1] * size.queries), jnp.float32),
        ],
        compiler_params=_parameters("parallel", "parallel", "arbitrary"),
        interpret=select.platform() == "cpu",
        name=FORWARD,
    )
    with jax.named_scope(FORWARD):
        out, lse = call(
            _lengths(k, key_lengths),
            _components_first(_scaled(q), size.queries),
            _tokens_first(k, size.keys),
            _components_first(v, size.keys),
        )
    out = einops.rearrange(out, "(b a) e n -> b n a e", b=b)[:, :n]
    return out, einops.rearrange(lse, "(b a) 1 n -> b n a", b=b)[:, :n]


def backward(
    q: Float[Array, "b n a e"],
    k: Float[Array, "b s a e"],
    v: Float[Array, "b s a e"],
    key_lengths: Int[Array, "b"] | None,
    out: Float[Array, "b n a e"],
    lse: Float[Array, "b n a"],
    d_out: Float[Array, "b n a e"],
) -> tuple[Float[Array, "b n a e"], Float[Array, "b s a e"], Float[Array, "b s a e"]]:
    """Float32 derivatives by q, k and v.

    If d_q of a head exceeds RESIDENT_BYTES, the queries come in parts of whole blocks, and d_k and
    d_v are the sums of what the parts contribute.
    """
    (b, n, a, e), s = q.shape, k.shape[1]
    size = blocks(BACKWARD_SIZES, n, s, q.dtype.itemsize)
    delta = jnp.einsum("bnae,bnae->bna", out, d_out, preferred_element_type=jnp.float32)
    keys = (
        _lengths(k, key_lengths),
        _tokens_first(k, size.keys),
        _components_first(k, size.keys),
        _tokens_first(v, size.keys),
    )
    rows = pl.cdiv(e, SUBLANES) * SUBLANES * jnp.dtype(jnp.float32).itemsize
    count = pl.cdiv(n, size.queries)
    parts = pl.cdiv(count, max(1, RESIDENT_BYTES // (rows * size.queries)))
    length = pl.cdiv(count, parts) * size.queries
    scaled = _scaled(q)
    d_q, d_k, d_v = [], [], []
    for start in range(0, n, length):
        part = slice(start, start + length)
        queries = (
            *(_components_first(x[:, part], size.queries) for x in (scaled, d_out)),
            *(_row(x[:, part], size.queries) for x in (lse * TO_BASE_2, delta)),
        )
        found = _backward_part(a, size, queries, keys)
        for each, new in zip((d_q, d_k, d_v), found):
            each.append(einops.rearrange(new, "(b a) e n -> b n a e", b=b))
    # Scores are derived in base e: of the scale of q, d_k keeps 1 / sqrt(e) only.
    return (
        jnp.concatenate(d_q, axis=1)[:, :n] * e**-0.5,
        sum(d_k[1:], d_k[0])[:, :s] / TO_BASE_2,
        sum(d_v[1:], d_v[0])[:, :s],
    )


def _backward_part(
    heads: int, size: Blocks, queries: tuple[Array, ...], keys: tuple[Array, ...]
) -> tuple[Float[Array, "h e n"], Float[Array, "h e s"], Float[Array, "h e s"]]:
    """Derivatives by the scaled q of these queries, and what they contribute to those by k and v.

    queries: q', d_out', lse in base 2, and delta.
    keys: lengths, k, k' and v.
    """
    h, e, n = queries[0].shape
    s = keys[1].shape[1]
    of_queries = pl.BlockSpec((None, e, size.queries), lambda h, _, i, *__: (h, 0, i))
    query_row = pl.BlockSpec((None, 1, size.queries), lambda h, _, i, *__: (h, 0, i))
    of_keys = pl.BlockSpec((None, size.keys, e), lambda h, j, *_: (h, j, 0))
    key_columns = pl.BlockSpec((None, e, size.keys), lambda h, j, *_: (h, 0, j))
    call = pl.pallas_call(
        functools.partial(_backward_kernel, heads, size),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=1,
            grid=(h, s // size.keys, n // size.queries),
            in_specs=[of_queries, of_keys, key_columns, of_keys, of_queries, query_row, query_row],
            out_specs=[
                pl.BlockSpec((None, e, n), lambda h, *_: (h, 0, 0)),
                key_columns,
                key_columns,
            ],
        ),
        out_shape=[jax.ShapeDtypeStruct((h, e, length), jnp.float32) for length in (n, s, s)],
        compiler_params=_parameters("parallel", "arbitrary", "arbitrary"),
        interpret=select.platform() == "cpu",
        name=BACKWARD,
    )
    (q, *others), (lengths, *of_all_keys) = queries, keys
    with jax.named_scope(BACKWARD):
        return tuple(call(lengths, q, *of_all_keys, *others))


def _parameters(*dimensions: Any) -> pltpu.CompilerParams:
    return pltpu.CompilerParams(
        dimension_semantics=dimensions, vmem_limit_bytes=VECTOR_MEMORY_BYTES
    )


def _forward_kernel(heads: int, size: Blocks, lengths: Any, *refs: Any) -> None:
    """One block of keys for one block of queries of a head."""
    q, k, v, out, lse, most, total, sums = refs
    block, last = pl.program_id(2), pl.num_programs(2) - 1
    seen = lengths[pl.program_id(0) // heads] - block * size.keys

    @pl.when(block == 0)
    def _():
        most[...] = jnp.full_like(most, UNSEEN)
        total[...] = jnp.zeros_like(total)
        sums[...] = jnp.zeros_like(sums)

    def scores(i: Any, j: Any) -> Array:
        queries, keys = size.tile(i, j)
        return _product(k[keys, :], q[:, queries])

    def softmax(i: Any, j: Any, score_sn: Array) -> None:
        queries, keys = size.tile(i, j)
        before = most[:, queries]
        now = jnp.maximum(before, score_sn.max(axis=0, keepdims=True))
        prob_sn = jnp.exp2(score_sn - now)
        kept = jnp.exp2(before - now)
        most[:, queries] = now
        total[:, queries] = total[:, queries] * kept + prob_sn.sum(axis=0, keepdims=True)
        added = _product(v[:, keys], prob_sn.astype(v.dtype))
        sums[:, queries] = sums[:, queries] * kept + added

    _over_tiles(size, seen, scores, softmax)

    @pl.when(block == last)
    def _():
        # Without a visible key the sum is 0, and so is `out`.
        sum_of_all = jnp.where(total[...] == 0, 1.0, total[...])
        out[...] = (sums[...] / sum_of_all).astype(out.dtype)
        lse[...] = most[...] / TO_BASE_2 + jnp.log(sum_of_all)


def _backward_kernel(heads: int, size: Blocks, lengths: Any, *refs: Any) -> None:
    """One block of queries for one block of keys of a head."""
    q, k, k_columns, v, d_out, lse, delta, d_q, d_k, d_v = refs
    block, queries_at = pl.program_id(1), pl.program_id(2) * size.queries
    seen = lengths[pl.program_id(0) // heads] - block * size.keys
    of_head = pl.ds(pl.multiple_of(queries_at, LANES), size.queries)

    @pl.when(block == 0)
    def _():
        d_q[:, of_head] = jnp.zeros((d_q.shape[0], size.queries), d_q.dtype)

    @pl.when(pl.program_id(2) == 0)
    def _():
        d_k[...] = jnp.zeros_like(d_k)
        d_v[...] = jnp.zeros_like(d_v)

    def scores(i: Any, j: Any) -> Array:
        queries, keys = size.tile(i, j)
        return _product(k[keys, :], q[:, queries])

    def derive(i: Any, j: Any, score_sn: Array) -> None:
        queries, keys = size.tile(i, j)
        prob_sn = jnp.exp2(score_sn - lse[:, queries])
        d_prob_sn = _product(v[keys, :], d_out[:, queries])
        d_score_sn = (prob_sn * (d_prob_sn - delta[:, queries])).astype(k.dtype)
        d_v[:, keys] += _product(d_out[:, queries], prob_sn.astype(v.dtype), transposed=True)
        d_k[:, keys] += _product(q[:, queries], d_score_sn, transposed=True)
        of_head = pl.ds(pl.multiple_of(queries_at + i, LANES), size.query_tile)
        d_q[:, of_head] += _product(k_columns[:, keys], d_score_sn)

    _over_tiles(size, seen, scores, derive)


def _over_tiles(
    size: Blocks,
    seen: Any,
    scores: Callable[[Any, Any], Array],
    use: Callable[[Any, Any, Array], None],
) -> None:
    """`use` the `scores` of all tiles of a pair of blocks.

    A few scores are computed ahead of their use. The compiler hardly changes the order of the
    program, and without them the matrix unit would wait for exponentials.

    seen: number of keys from the first one of the block to the last visible one.
    """
    starts = range(0, size.queries, size.query_tile), range(0, size.keys, size.key_tile)

    @pl.when(seen >= size.keys)
    def _():
        waiting: collections.deque[tuple[int, int, Array]] = collections.deque()
        for i, j in itertools.product(*starts):
            waiting.append((i, j, scores(i, j)))
            if len(waiting) > size.ahead:
                use(*waiting.popleft())
        while waiting:
            use(*waiting.popleft())

    @pl.when((seen > 0) & (seen < size.keys))
    def _():  # loops, which are less code, over the tiles with a visible key
        def query_tile(row: Any, _: None) -> None:
            i = pl.multiple_of(row * size.query_tile, LANES)

            def key_tile(column: Any, _: None) -> None:
                j = pl.multiple_of(column * size.key_tile, LANES)
                score_sn = scores(i, j)
                key = jax.lax.broadcasted_iota(jnp.int32, score_sn.shape, 0)
                use(i, j, jnp.where(key < seen - j, score_sn, UNSEEN))

            jax.lax.fori_loop(0, pl.cdiv(seen, size.key_tile), key_tile, None)

        jax.lax.fori_loop(0, len(starts[0]), query_tile, None)


def _product(
    x: Float[Array, "i j"], y: Float[Array, "j k"] | Float[Array, "k j"], transposed: bool = False
) -> Float[Array, "i k"]:
    """x y, or x y' if y is `transposed`."""
    contracted = (1,), (1 if transposed else 0,)
    return jax.lax.dot_general(x, y, (contracted, ((), ())), preferred_element_type=jnp.float32)


def _lengths(k: Float[Array, "b s a e"], key_lengths: Int[Array, "b"] | None) -> Int[Array, "b"]:
    return jnp.full(k.shape[:1], k.shape[1]) if key_lengths is None else key_lengths


def _scaled(q: Float[Array, "b n a e"]) -> Float[Array, "b n a e"]:
    """q log2(e) / sqrt(e), for scores in base 2."""
    return (q.astype(jnp.float32) * (TO_BASE_2 * q.shape[-1] ** -0.5)).astype(q.dtype)


def _padded(x: Float[Array, "b n ..."], block: int) -> Float[Array, "b m ..."]:
    """`x` with its tokens padded to whole blocks."""
    return jnp.pad(x, ((0, 0), (0, -x.shape[1] % block), *[(0, 0)] * (x.ndim - 2)))


def _tokens_first(x: Float[Array, "b n a e"], block: int) -> Float[Array, "h m e"]:
    return einops.rearrange(_padded(x, block), "b n a e -> (b a) n e")


def _components_first(x: Float[Array, "b n a e"], block: int) -> Float[Array, "h e m"]:
    return einops.rearrange(_padded(x, block), "b n a e -> (b a) e n")


def _row(x: Float[Array, "b n a"], block: int) -> Float[Array, "h 1 m"]:
    return einops.rearrange(_padded(x, block), "b n a -> (b a) 1 n")
