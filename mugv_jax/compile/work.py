# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of one chip in a compiled TPU program.

The compiler estimates the cycles of every operation that it emits, except our kernels. Those of
attention have a schedule of their own (`schedule.py`), and their products are counted from the
shapes of their arguments; the other kernels declare how many bytes they read and write.
"""

import dataclasses
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from mugv_jax.compile.hlo import Program, Run
from mugv_jax.compile.schedule import ATTENTION, AttentionCall

_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_MOVED = re.compile(r'"bytes_accessed":"(\d+)"')
_OPERANDS = re.compile(r"\b(bf16|f32|f16)\[([\d,]+)\]")
_ITEMSIZE = {"bf16": 2, "f16": 2, "f32": 4}


class AttentionRun(NamedTuple):
    """A call of an attention kernel, and the heads that it is for."""

    call: AttentionCall
    heads: int

    @property
    def flops(self) -> int:
        """Operations of all products, padding included."""
        call, (*_, products) = self.call, ATTENTION[self.call.kernel]
        return products * 2 * self.heads * call.queries * call.keys * call.head_dim


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """Work of one call of a program; values per computation cover all runs of the computation.

    cycles: compiler's estimate per computation.
    attention: number of runs of attention kernels, per computation.
    moved_bytes: bytes read and written by other kernels, per computation.
    kernels: number of runs of every kernel, by name.
    uncounted: names of kernels whose work is unknown.
    """

    cycles: Mapping[str, int]
    attention: Mapping[str, Mapping[AttentionRun, int]]
    moved_bytes: Mapping[str, int]
    kernels: Mapping[str, int]
    uncounted: tuple[str, ...]

    @property
    def attention_calls(self) -> list[AttentionCall]:
        """Calls of attention kernels, each once."""
        return list(dict.fromkeys(run.call for runs in self.attention.values() for run in runs))

    @property
    def attention_flops(self) -> int:
        """FLOPs of all attention kernels, padding and recomputation included."""
        return sum(
            run.flops * times for runs in self.attention.values() for run, times in runs.items()
        )


def work_of(program: Program) -> Work:
    """Work of one call of `program` on one chip."""
    cycles: Counter[str] = Counter()
    attention: defaultdict[str, Counter[AttentionRun]] = defaultdict(Counter)
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
            kernel = next((each for each in ATTENTION if name.startswith(each)), None)
            nbytes = _MOVED.search(run.instruction.attributes)
            if kernel:
                attention[run.computation][_attention(kernel, run)] += run.times
            elif nbytes:
                moved[run.computation] += int(nbytes[1]) * run.times
            else:
                uncounted[name] = None
    return Work(
        cycles=cycles,
        attention=attention,
        moved_bytes=moved,
        kernels=kernels,
        uncounted=tuple(uncounted),
    )


def _attention(kernel: str, run: Run) -> AttentionRun:
    """Sizes of a run; the first arrays are q, in either order of tokens and components, and k."""
    layouts = run.instruction.attributes.partition("operand_layout_constraints=")[2]
    found = [
        (_ITEMSIZE[dtype], [int(size) for size in shape.split(",")])
        for dtype, shape in _OPERANDS.findall(layouts)
    ]
    (itemsize, q), (_, k) = [each for each in found if len(each[1]) >= 3][:2]
    heads = math.prod(q[:-2])
    call = AttentionCall(
        kernel=kernel,
        queries=math.prod(q) // (heads * k[-1]),
        keys=k[-2],
        head_dim=k[-1],
        itemsize=itemsize,
    )
    return AttentionRun(call, heads)
