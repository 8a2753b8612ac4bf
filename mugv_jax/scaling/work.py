# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of one chip in a compiled TPU program.

The compiler writes its own estimate of the cycles beside every operation it emits. It cannot see
into a kernel of ours: the products of attention's are counted from the shapes it is called with.
"""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Mapping

from mugv_jax.scaling.hlo import Program, Run

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_OPERANDS = re.compile(r"\b(?:bf16|f32|f16)\[([\d,]+)\]")
# Products of matrices, each 2 n s e per head, that a kernel computes; the two backward kernels
# compute the scores anew and share one product more.
ATTENTION_PRODUCTS = {"splash_mha_fwd": 2, "splash_mha_dq": 3, "splash_mha_dkv": 4}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """cycles: compiler's estimate per computation, all its runs together.
    attention_flops: of attention kernels, per computation, padding and recomputation included.
    head_dims: FLOPs by the head dimension that the kernel is called with.
    kernels: runs of every kernel by name.  uncounted: those whose arithmetic is not known.
    """

    cycles: Mapping[str, int]
    attention_flops: Mapping[str, int]
    head_dims: Mapping[int, int]
    kernels: Mapping[str, int]

    @property
    def uncounted(self) -> tuple[str, ...]:
        return tuple(name for name in self.kernels if _products(name) is None)


def work_of(program: Program) -> Work:
    """Arithmetic of one call of `program` on one chip."""
    cycles: Counter[str] = Counter()
    attention: Counter[str] = Counter()
    head_dims: Counter[int] = Counter()
    kernels: Counter[str] = Counter()
    for run in program.runs():
        if "fusion" in run.inside:
            continue  # its estimate stands at the fusion itself
        estimated = _CYCLES.search(run.instruction.attributes)
        if estimated:
            cycles[run.computation] += int(estimated[1]) * run.times
        if run.instruction.attribute("custom_call_target") == "tpu_custom_call":
            name = run.instruction.name.partition(".")[0]
            kernels[name] += run.times
            products = _products(name)
            if products:
                flops, head_dim = _attention_product(run)
                attention[run.computation] += products * flops * run.times
                head_dims[head_dim] += products * flops * run.times
    return Work(cycles=cycles, attention_flops=attention, head_dims=head_dims, kernels=kernels)


def _products(kernel: str) -> int | None:
    found = [count for name, count in ATTENTION_PRODUCTS.items() if kernel.startswith(name)]
    return found[0] if found else None


def _attention_product(run: Run) -> tuple[int, int]:
    """(FLOPs of one product, head dimension): the first arrays of the call are q, k and v."""
    layouts = run.instruction.attributes.partition("operand_layout_constraints=")[2]
    shapes = [[int(size) for size in found.split(",")] for found in _OPERANDS.findall(layouts)]
    q, k = [shape for shape in shapes if len(shape) >= 3][:2]
    return 2 * math.prod(q) * k[-2], q[-1]
