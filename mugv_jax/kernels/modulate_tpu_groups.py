# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A TPU kernel that applies a function of tokens and of the vectors of their group to all tokens.

A block of whole tokens is in vector memory. The tokens of a group are consecutive, so the kernel
visits the groups in a block one after another, and in each group strips of a few tokens. The
vectors of a group are single rows, which are never expanded to tokens. A strip fits into registers,
and only the strips at the ends of a group need a mask.

Sums over the tokens of a group are accumulated in vector memory, over all blocks of a core.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels import select
from mugv_jax.kernels.modulate_formulas import GROUPS

STRIP = 16  # tokens computed at once: the rows of a tile of 16-bit numbers
SUBLANES = 8  # rows of a float32 register
BLOCK_BYTES = 2**20  # most bytes of a block; two blocks of every array are in vector memory
VECTOR_MEMORY_BYTES = 32 * 2**20  # limit for a kernel, above the compiler's default
CORES = 2  # most cores of a chip; each sums over its own blocks


def over_groups(
    operation: str,
    tokens: Sequence[Float[Array, "b n d"]],
    vectors: Sequence[Float[Array, "..."]],
    group: Int[Array, "n"],
) -> tuple[list[Float[Array, "b n d"]], list[Float[Array, "b g d"]]]:
    """New tokens of an operation, and its float32 sums over each group; see `modulate.py`.

    operation: also the name of the kernel in a compiled program.
    """
    compute, like, sums, _ = GROUPS[operation]
    (b, n, d), g = tokens[0].shape, vectors[-1].shape[1]
    blocks = _Blocks.of(n, max(x.dtype.itemsize for x in tokens) * d)
    token_spec = pl.BlockSpec((1, blocks.rows, d), blocks.of_tokens)
    vector_spec = pl.BlockSpec((1, g, d), lambda sample, *_: (sample, 0, 0))
    sum_spec = pl.BlockSpec((1, 1, g, d), lambda sample, core, *_: (sample, core, 0, 0))
    new_tokens = [jax.ShapeDtypeStruct((b, n, d), tokens[i].dtype) for i in like]
    # Every group gets a row of each vector, also of the bias, which is one for all groups.
    rows = [jnp.broadcast_to(vector.astype(jnp.float32), (b, g, d)) for vector in vectors]
    call = pl.pallas_call(
        functools.partial(_kernel, compute, blocks, (len(tokens), len(vectors), len(like), sums)),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=3,
            grid=(b, blocks.cores, blocks.steps),
            in_specs=[token_spec] * len(tokens) + [vector_spec] * len(vectors),
            out_specs=[token_spec] * len(like) + [sum_spec] * sums,
            scratch_shapes=[pltpu.VMEM((SUBLANES, d), jnp.float32)] * sums,
        ),
        out_shape=new_tokens + [jax.ShapeDtypeStruct((b, blocks.cores, g, d), jnp.float32)] * sums,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary"),
            vmem_limit_bytes=VECTOR_MEMORY_BYTES,
        ),
        cost_estimate=bytes_alone(*tokens, *new_tokens),
        interpret=select.platform() == "cpu",
        name=operation,
    )
    with jax.named_scope(operation):
        results = call(*blocks.of_groups(group, g), *tokens, *rows)
    return list(results[: len(like)]), [jnp.sum(x, axis=1) for x in results[len(like) :]]


def bytes_alone(*arrays: Array | jax.ShapeDtypeStruct) -> pl.CostEstimate:
    """Cost of a kernel whose time is that of reading and writing these arrays."""
    nbytes = sum(x.size * x.dtype.itemsize for x in arrays)
    return pl.CostEstimate(flops=0, transcendentals=0, bytes_accessed=nbytes)


@dataclasses.dataclass(frozen=True)
class _Blocks:
    """Division of `n` tokens into blocks of `rows`; each of `cores` cores visits `steps` blocks."""

    n: int
    rows: int
    cores: int
    steps: int

    @classmethod
    def of(cls, n: int, token_bytes: int) -> "_Blocks":
        """Blocks of n tokens, `token_bytes` bytes each."""
        strips = max(1, min(BLOCK_BYTES // token_bytes // STRIP, pl.cdiv(n, STRIP)))
        blocks = pl.cdiv(n, strips * STRIP)
        cores = min(CORES, blocks)
        return cls(n, strips * STRIP, cores, pl.cdiv(blocks, cores))

    def of_tokens(self, sample: Any, core: Any, step: Any, *_: Any) -> tuple[Any, Any, int]:
        """Indices of the block of a step.

        With an odd number of blocks the last step of the last core has no block. It gets the block
        before it, and changes nothing there.
        """
        last = pl.cdiv(self.n, self.rows) - 1
        return sample, jnp.minimum(core * self.steps + step, last), 0

    def of_groups(self, group: Int[Array, "n"], count: int) -> tuple[Array, Array, Array]:
        """First token of every group, and of one more; first and last group of every step."""
        bounds = jnp.arange(count + 1, dtype=group.dtype)
        starts = jnp.sum(group[None] < bounds[:, None], axis=1, dtype=jnp.int32)
        edges = jnp.arange(self.cores * self.steps) * self.rows
        first = group[jnp.minimum(edges, self.n - 1)]
        last = group[jnp.minimum(edges + self.rows - 1, self.n - 1)]
        return starts, first.astype(jnp.int32), last.astype(jnp.int32)


def _kernel(
    compute: Callable,
    blocks: _Blocks,
    counts: tuple[int, int, int, int],
    starts: Any,
    first: Any,
    last: Any,
    *refs: Any,
) -> None:
    """One block of one sample.

    counts: numbers of tokens, vectors, new tokens and sums among `refs`, in this order.
    starts, first, last: results of `_Blocks.of_groups`.
    refs: references to these arrays, then the accumulators of the sums.
    """
    left = iter(refs)
    tokens, vectors, new_tokens, sums = ([next(left) for _ in range(count)] for count in counts)
    gathered = list(left)
    block = pl.program_id(1) * blocks.steps + pl.program_id(2)

    @pl.when(pl.program_id(2) == 0)
    def _():
        for each in sums:
            each[...] = jnp.zeros_like(each)

    def visit(index: Any, _: None) -> None:
        begin = jnp.maximum(starts[index] - block * blocks.rows, 0)
        end = jnp.minimum(starts[index + 1] - block * blocks.rows, blocks.rows)
        row = [each[0, pl.ds(index, 1), :] for each in vectors]
        for each in gathered:
            each[...] = jnp.zeros_like(each)
        visit_strip = functools.partial(_strip, compute, tokens, row, new_tokens, gathered)
        _visit_strips(visit_strip, begin, end)
        for each, part in zip(sums, gathered):
            each[0, 0, pl.ds(index, 1), :] += jnp.sum(part[...], axis=0, keepdims=True)

    jax.lax.fori_loop(first[block], last[block] + 1, visit, None)


def _visit_strips(
    visit: Callable[[Any, tuple[Any, Any] | None], None], begin: Any, end: Any
) -> None:
    """Call `visit(strip, bounds)` for every strip that has some of the rows `begin` to `end`.

    The bounds are (begin, end), or None for a strip that lies entirely between them.
    """
    bounds = (begin, end)
    whole_begin, whole_end = pl.cdiv(begin, STRIP), end // STRIP
    head = begin // STRIP, whole_begin
    tail = jnp.maximum(whole_begin, whole_end), pl.cdiv(end, STRIP)
    jax.lax.fori_loop(*head, lambda at, _: visit(at, bounds), None)
    jax.lax.fori_loop(whole_begin, whole_end, lambda at, _: visit(at, None), None)
    jax.lax.fori_loop(*tail, lambda at, _: visit(at, bounds), None)


def _strip(
    compute: Callable,
    tokens: Sequence[Any],
    row: Sequence[Float[Array, "1 d"]],
    new_tokens: Sequence[Any],
    gathered: Sequence[Any],
    at: Any,
    bounds: tuple[Any, Any] | None,
) -> None:
    """One strip: rows outside the bounds are neither written nor summed."""
    here = pl.ds(pl.multiple_of(at * STRIP, STRIP), STRIP)
    new, summed = compute([each[0, here, :] for each in tokens], row)
    new = [value.astype(each.dtype) for value, each in zip(new, new_tokens)]
    if bounds is not None:
        shape = (STRIP, tokens[0].shape[-1])
        index = at * STRIP + jax.lax.broadcasted_iota(jnp.int32, shape, 0)
        mine = (index >= bounds[0]) & (index < bounds[1])
        new = [jnp.where(mine, value, each[0, here, :]) for value, each in zip(new, new_tokens)]
        summed = [jnp.where(mine, value, 0.0) for value in summed]
    for each, value in zip(new_tokens, new):
        each[0, here, :] = value
    for each, value in zip(gathered, summed):
        each[...] += jnp.sum(value.reshape(-1, SUBLANES, value.shape[-1]), axis=0)
