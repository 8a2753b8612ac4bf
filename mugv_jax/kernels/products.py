# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Matrix products inside a Mosaic GPU kernel: by the tensor cores, or plain where a CPU interprets.

The interpreter knows no product whose left operand is in registers. There a sum is a value that is
carried from step to step; on a GPU it is an accumulator that stays in registers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.experimental.pallas as pl
import jax.experimental.pallas.mosaic_gpu as plgpu
import jax.numpy as jnp

from mugv_jax.axes import Array
from mugv_jax.kernels import select


class _Sum:
    """An accumulator of an interpreted kernel."""

    def __init__(self, value: Array):
        self.value = value


def interpreted() -> bool:
    """Whether kernels are interpreted: no GPU is there to run them."""
    return select.platform() == "cpu"


def interpretation() -> dict[str, Any]:
    """Arguments of `plgpu.kernel` that say so."""
    if not interpreted():
        return {}
    # Public from jax 0.11 on.
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    return {"interpret": InterpretGPUParams()}


def accumulate(
    steps: int, step: Callable[[Any, Sequence[Any]], None], shape: tuple[int, int], count: int
) -> Sequence[Array]:
    """`count` float32 sums of `shape`, to which `step(i, sums)` adds products, for i < steps."""
    if interpreted():

        def plain(i: Array, values: tuple[Array, ...]) -> tuple[Array, ...]:
            sums = [_Sum(value) for value in values]
            step(i, sums)
            return tuple(each.value for each in sums)

        return jax.lax.fori_loop(0, steps, plain, (jnp.zeros(shape, jnp.float32),) * count)

    def run(*sums: Any) -> tuple[Array, ...]:
        @pl.loop(0, steps)
        def _(i: Array) -> None:
            step(i, sums)

        return tuple(each[...] for each in sums)

    return pl.run_scoped(run, *(plgpu.ACC(shape, jnp.float32) for _ in range(count)))


def scoped(run: Callable[..., Array], *shapes: tuple[int, int]) -> Array:
    """`run(*sums)` with sums of `shapes` that start at zero."""
    if interpreted():
        return run(*(_Sum(jnp.zeros(shape, jnp.float32)) for shape in shapes))
    return pl.run_scoped(run, *(plgpu.ACC(shape, jnp.float32) for shape in shapes))


def add_product(total: Any, left: Any, right: Any, *, transposed: bool = False) -> None:
    """total += left right, or left right^T. `left` is a reference or an array in registers."""
    if interpreted():
        right = right[...]
        product = jax.lax.dot(
            left[...], right.T if transposed else right, preferred_element_type=jnp.float32
        )
        total.value = total.value + product
    else:
        plgpu.wgmma(total, left, right.T if transposed else right)


def read(total: Any, *, running: int = 0) -> Array:
    """The value of a sum, as soon as no more than the last `running` products are unfinished."""
    if interpreted():
        return total.value
    return plgpu.wgmma_accumulator_load(total, wait_n=running)


def finish() -> None:
    """Waits for all products."""
    if not interpreted():
        plgpu.wgmma_wait(0)


def read_to_the_end() -> None:
    """Orders what was read before what is copied to the same place next.

    The tensor cores read as copies do; the interpreter reads as threads do.
    """
    if interpreted():
        plgpu.commit_smem()


def columns(shape: tuple[int, int]) -> Array:
    """The column of every entry, laid out as sums are."""
    layout = None if interpreted() else plgpu.Layout.WGMMA
    return plgpu.broadcasted_iota(jnp.int32, shape, 1, layout=layout)
