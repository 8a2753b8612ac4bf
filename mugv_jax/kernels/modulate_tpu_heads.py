# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""RMSNorm over a head and rotary embedding on TPU (Pallas, Mosaic), forward and backward.

Inside the kernels heads come before tokens: the components of a head lie along the lanes and its
tokens along the sublanes, which is also the layout of the angles that all heads share. Splash
attention uses the same order, so XLA cancels the changes of order between the two.

With `swapped(x)` = (x[i + e/2], x[i]) the rotation is x cos + swapped(x) (-sin, sin).
"""

from collections.abc import Callable, Sequence
from typing import Any

import einops
import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from mugv_jax.axes import Array, Float
from mugv_jax.kernels import select
from mugv_jax.kernels.modulate_formulas import HEADS
from mugv_jax.kernels.modulate_tpu_groups import (
    BLOCK_BYTES,
    CORES,
    STRIP,
    SUBLANES,
    VECTOR_MEMORY_BYTES,
    bytes_alone,
)

LANES = 128  # a head occupies whole registers, however short it is
ROWS = 512  # tokens of a head computed at once: with fewer, the sums along a head limit the speed


def over_heads(
    operation: str,
    tokens: Sequence[Float[Array, "b n a e"]],
    scale: Float[Array, "e"],
    cos: Float[Array, "b n k"],
    sin: Float[Array, "b n k"],
) -> tuple[Float[Array, "b n a e"], list[Float[Array, "e"]]]:
    """New tokens of an operation, and its float32 sums over all heads; see `modulate.py`.

    operation: also the name of the kernel in a compiled program.
    """
    compute, _, sums, inverse = HEADS[operation]
    (b, n, a, e), dtype = tokens[0].shape, tokens[0].dtype
    rows = min(ROWS, pl.cdiv(n, STRIP) * STRIP)
    lanes = pl.cdiv(e, LANES) * LANES
    heads = _divisor(a, BLOCK_BYTES // (rows * lanes * dtype.itemsize))
    blocks = pl.cdiv(n, rows)
    cores = min(CORES, blocks)
    steps = pl.cdiv(blocks, cores)

    def at(core: Any, step: Any) -> Any:  # as in `modulate_tpu_groups._Blocks.of_tokens`
        return jnp.minimum(core * steps + step, blocks - 1)

    head_spec = pl.BlockSpec((1, heads, rows, e), lambda b, core, i, h: (b, h, at(core, i), 0))
    angle_spec = pl.BlockSpec((1, rows, e), lambda b, core, i, _: (b, at(core, i), 0))
    sum_spec = pl.BlockSpec((1, 1, SUBLANES, e), lambda b, core, *_: (b, core, 0, 0))
    out = jax.ShapeDtypeStruct((b, a, n, e), dtype)
    padded = jax.ShapeDtypeStruct((b, a, n, lanes), dtype)  # as it lies in memory

    def kernel(*refs: Any) -> None:
        block = pl.program_id(1) * steps + pl.program_id(2)
        first = (pl.program_id(2) == 0) & (pl.program_id(3) == 0)
        _kernel(compute, len(tokens), n - block * rows, first, *refs)

    call = pl.pallas_call(
        kernel,
        grid=(b, cores, steps, a // heads),
        in_specs=[head_spec] * len(tokens)
        + [angle_spec, angle_spec, pl.BlockSpec((1, e), lambda *_: (0, 0))],
        out_specs=[head_spec] + [sum_spec] * sums,
        out_shape=[out] + [jax.ShapeDtypeStruct((b, cores, SUBLANES, e), jnp.float32)] * sums,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary", "arbitrary"),
            vmem_limit_bytes=VECTOR_MEMORY_BYTES,
        ),
        cost_estimate=bytes_alone(*[padded] * (len(tokens) + 1)),
        interpret=select.platform() == "cpu",
        name=operation,
    )
    tokens = [einops.rearrange(x, "b n a e -> b a n e") for x in tokens]
    cos = jnp.concatenate([cos, cos], axis=-1)
    sin = -sin if inverse else sin
    sin = jnp.concatenate([-sin, sin], axis=-1)
    with jax.named_scope(operation):
        new, *summed = call(*tokens, cos, sin, scale.astype(jnp.float32)[None])
    return einops.rearrange(new, "b a n e -> b n a e"), [x.sum(axis=(0, 1, 2)) for x in summed]


def _kernel(compute: Callable, inputs: int, left: Any, first: Any, *refs: Any) -> None:
    """All heads of a block.

    inputs: number of arrays of tokens among `refs`.
    left: number of tokens from the first one of this block to the last one of the sample.
    first: whether this is the first block that a core visits.
    """
    tokens, (cos, sin, scale, new, *summed) = refs[:inputs], refs[inputs:]

    @pl.when(first)
    def _():
        for each in summed:
            each[...] = jnp.zeros_like(each)

    def rotate(x: Array) -> Array:
        half = x.shape[-1] // 2
        swapped = jnp.concatenate([x[:, half:], x[:, :half]], axis=-1)
        return x.astype(jnp.float32) * cos[0] + swapped.astype(jnp.float32) * sin[0]

    def visit(head: Any, _: None) -> None:
        (value,), addends = compute([each[0, head] for each in tokens], rotate, scale[...])
        new[0, head] = value.astype(new.dtype)
        for each, addend in zip(summed, addends):
            row = jax.lax.broadcasted_iota(jnp.int32, addend.shape, 0)
            addend = jnp.where(row < left, addend, 0.0)
            each[0, 0] += jnp.sum(addend.reshape(-1, SUBLANES, addend.shape[-1]), axis=0)

    jax.lax.fori_loop(0, new.shape[1], visit, None)


def _divisor(number: int, most: int) -> int:
    """Largest divisor of `number` that does not exceed `most`; 1 if `most` is smaller."""
    return max(part for part in range(1, number + 1) if number % part == 0 and part <= max(1, most))
