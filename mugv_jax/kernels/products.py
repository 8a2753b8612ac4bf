# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Matrix products inside a Mosaic GPU kernel, on a GPU and in the interpreter on a CPU.

On a GPU the tensor cores add them to accumulators in registers. The interpreter does not support
products whose left operand is in registers; there they are plain products, and a sum is a value
that a loop carries from step to step.
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
    """Accumulator of an interpreted kernel."""

    def __init__(self, value: Array):
        self.value = value


def interpreted() -> bool:
    """Whether kernels run in the interpreter, which is the case on a CPU."""
    return select.platform() == "cpu"


def interpretation() -> dict[str, Any]:
    """Arguments that make `plgpu.kernel` use the interpreter, on a CPU."""
    if not interpreted():
        return {}
    # JAX 0.10 has it in a private module only.
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    return {"interpret": InterpretGPUParams()}


def accumulate(
    steps: int, step: Callable[[Any, Sequence[Any]], None], shape: tuple[int, int], count: int
) -> Sequence[Array]:
    """`count` float32 sums of `shape`, to which `step(i, sums)` adds products for all i < steps."""
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
    """Result of `run(*sums)`, where the sums have `shapes` and start at zero."""
    if interpreted():
        return run(*(_Sum(jnp.zeros(shape, jnp.float32)) for shape in shapes))
    return pl.run_scoped(run, *(plgpu.ACC(shape, jnp.float32) for shape in shapes))


def add_product(total: Any, left: Any, right: Any, *, transposed: bool = False) -> None:
    """total += left right, or left right^T if `transposed`.

    left: a reference, or an array in registers.
    """
    if interpreted():
        right = right[...]
        product = jax.lax.dot(
            left[...], right.T if transposed else right, preferred_element_type=jnp.float32
        )
        total.value = total.value + product
    else:
        plgpu.wgmma(total, left, right.T if transposed else right)


def read(total: Any, *, running: int = 0) -> Array:
    """Value of a sum, once all products but the last `running` ones are finished."""
    if interpreted():
        return total.value
    return plgpu.wgmma_accumulator_load(total, wait_n=running)


def finish() -> None:
    """Wait for all products."""
    if not interpreted():
        plgpu.wgmma_wait(0)


def read_to_the_end() -> None:
    """Order all reads of a tile before the copy that overwrites it.

    Only the interpreter needs it, which reads like a thread. The tensor cores read like a copy.
    """
    if interpreted():
        plgpu.commit_smem()


def columns(shape: tuple[int, int]) -> Array:
    """Column number of every entry, in the layout of a sum."""
    layout = None if interpreted() else plgpu.Layout.WGMMA
    return plgpu.broadcasted_iota(jnp.int32, shape, 1, layout=layout)
