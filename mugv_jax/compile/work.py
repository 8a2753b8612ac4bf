# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of one chip in a compiled TPU program.

The compiler estimates the cycles of every operation that it emits, except our kernels. The
products of attention kernels are counted from the shapes of their arguments; the other kernels
declare how many bytes they read and write.
"""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping

from mugv_jax.compile.hlo import Program, Run

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_MOVED = re.compile(r'"bytes_accessed":"(\d+)"')
_OPERANDS = re.compile(r"\b(?:bf16|f32|f16)\[([\d,]+)\]")
# Kernel -> matrix products that it computes, each 2 n s e operations per head. The backward kernel
# computes the scores again.
ATTENTION_PRODUCTS = {"splash_mha_fwd": 2, "splash_mha_dkv": 5}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """Work of one call of a program; values per computation cover all runs of the computation.

    cycles: compiler's estimate per computation.
    attention_flops: FLOPs of attention kernels per computation, padding and recomputation included.
    head_dims: FLOPs of attention kernels per head dimension of their calls.
    moved_bytes: bytes read and written by other kernels, per computation.
    kernels: number of runs of every kernel, by name.
    uncounted: names of kernels whose work is unknown.
    """

    cycles: Mapping[str, int]
    attention_flops: Mapping[str, int]
    head_dims: Mapping[int, int]
    moved_bytes: Mapping[str, int]
    kernels: Mapping[str, int]
    uncounted: tuple[str, ...]


def work_of(program: Program) -> Work:
    """Work of one call of `program` on one chip."""
    cycles: Counter[str] = Counter()
    attention: Counter[str] = Counter()
    head_dims: Counter[int] = Counter()
    moved: Counter[str] = Counter()
    kernels: Counter[str] = Counter()
    uncounted: dict[str, None] = {}
    for run in program.runs():
        if "fusion" in run.inside:
            continue  # the fusion itself has the estimate
        estimated = _CYCLES.search(run.instruction.attributes)
        if estimated:
            cycles[run.computation] += int(estimated[1]) * run.times
        if run.instruction.attribute("custom_call_target") == "tpu_custom_call":
            name = run.instruction.name.partition(".")[0]
            kernels[name] += run.times
            products, nbytes = _products(name), _MOVED.search(run.instruction.attributes)
            if products:
                flops, head_dim = _attention_product(run)
                attention[run.computation] += products * flops * run.times
                head_dims[head_dim] += products * flops * run.times
            elif nbytes:
                moved[run.computation] += int(nbytes[1]) * run.times
            else:
                uncounted[name] = None
    return Work(
        cycles=cycles,
        attention_flops=attention,
        head_dims=head_dims,
        moved_bytes=moved,
        kernels=kernels,
        uncounted=tuple(uncounted),
    )


def _products(kernel: str) -> int | None:
    """Number of matrix products of an attention kernel; None for other kernels."""
    found = [count for name, count in ATTENTION_PRODUCTS.items() if kernel.startswith(name)]
    return found[0] if found else None


def _attention_product(run: Run) -> tuple[int, int]:
    """FLOPs of one product, and the head dimension; a call's first arrays are q, k and v."""
    layouts = run.instruction.attributes.partition("operand_layout_constraints=")[2]
    shapes = [[int(size) for size in found.split(",")] for found in _OPERANDS.findall(layouts)]
    q, k = [shape for shape in shapes if len(shape) >= 3][:2]
    return 2 * math.prod(q) * k[-2], q[-1]
