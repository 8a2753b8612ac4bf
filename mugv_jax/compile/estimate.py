# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Estimated step time of a compiled TPU program, from its text and stated assumptions.

    step = arithmetic + kernels + blocking exchanges + other exchanges that are not hidden

Nothing was measured on a chip: an estimate ranks meshes and names the bottleneck.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping

from mugv_jax.compile.collectives import KINDS, Collective, sent_bytes
from mugv_jax.compile.torus import Torus
from mugv_jax.compile.work import Work
from mugv_jax.cost.chips import Chip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Assumed shares of the ideal that a real program reaches.

    compiled: speed of the compiler's own operations, relative to its estimate.
    attention: speed of attention kernels, relative to the peak of the part of the matrix unit that
        a head fills.
    memory: memory bandwidth that kernels with little arithmetic reach.
    links: bandwidth that a link reaches.
    overlap: part of a loop body's arithmetic during which its asynchronous exchanges run.

    Raises:
        ValueError: a share outside (0, 1], an overlap outside [0, 1].
    """

    compiled: float = 0.9
    attention: float = 0.6
    memory: float = 0.8
    links: float = 0.8
    overlap: float = 0.9

    def __post_init__(self):
        for name in ("compiled", "attention", "memory", "links"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f"assumed {name}={getattr(self, name)} must be a share above 0, at most 1."
                )
        if not 0 <= self.overlap <= 1:
            raise ValueError(f"assumed overlap={self.overlap} must be a share from 0 to 1.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of one step on every chip.

    arithmetic: seconds of operations outside of kernels.
    attention: seconds of attention kernels.
    modulation: seconds of other kernels.
    exposed: seconds of exchanges that the chip waits for, by kind.
    hidden: seconds of exchanges that run during arithmetic.
    sent: bytes (not seconds) that each chip sends, by kind.
    """

    arithmetic: float
    attention: float
    modulation: float
    exposed: Mapping[str, float]
    hidden: float
    sent: Mapping[str, int]

    @property
    def step(self) -> float:
        """Seconds of the whole step."""
        kernels = self.attention + self.modulation
        return self.arithmetic + kernels + sum(self.exposed.values())

    @property
    def limit(self) -> str:
        """Name of the longest part of the step."""
        parts = {
            "attention kernels": self.attention,
            "modulation kernels": self.modulation,
            "arithmetic outside of kernels": self.arithmetic,
            "exchanges between chips": sum(self.exposed.values()),
        }
        return max(parts, key=parts.__getitem__)

    def mfu(self, model_flops: float, chips: int, chip: Chip) -> float:
        """Share of the peak that the model's own arithmetic reaches, without recomputation."""
        return model_flops / (self.step * chips * chip.peak_flops)


def estimate(
    work: Work, exchanges: list[Collective], torus: Torus, assumptions: Assumptions
) -> Estimate:
    """Estimated time of a step with the given arithmetic and exchanges."""
    chip = torus.chip
    arithmetic = {
        name: cycles / chip.clock_hz / assumptions.compiled for name, cycles in work.cycles.items()
    }
    speed = attention_speed(work, chip) * assumptions.attention
    attention = {name: flops / speed for name, flops in work.attention_flops.items()}
    bandwidth = chip.hbm_bandwidth * assumptions.memory
    modulation = {name: nbytes / bandwidth for name, nbytes in work.moved_bytes.items()}
    exposed: defaultdict[str, float] = defaultdict(float)
    beside: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for each in exchanges:
        seconds = torus.seconds(each, assumptions.links)
        target = beside[each.computation] if each.asynchronous else exposed
        target[each.kind] += seconds
    hidden = 0.0
    for name, kinds in beside.items():
        total = sum(kinds.values())
        busy = sum(part.get(name, 0) for part in (arithmetic, attention, modulation))
        room = assumptions.overlap * busy
        covered = min(total, room)
        hidden += covered
        for kind, seconds in kinds.items():
            exposed[kind] += seconds * (1 - covered / total)
    return Estimate(
        arithmetic=sum(arithmetic.values()),
        attention=sum(attention.values()),
        modulation=sum(modulation.values()),
        exposed={kind: exposed[kind] for kind in KINDS if exposed[kind]},
        hidden=hidden,
        sent=sent_bytes(exchanges),
    )


def attention_speed(work: Work, chip: Chip) -> float:
    """Highest possible FLOP/s of attention, from the share of the unit that a head fills."""
    total = sum(work.head_dims.values())
    if not total:
        return chip.peak_flops
    time = sum(flops / filled(dim, chip) for dim, flops in work.head_dims.items())
    return chip.peak_flops * total / time


def filled(head_dim: int, chip: Chip) -> float:
    """Share of the matrix unit that a product with a side of `head_dim` fills."""
    return head_dim / (math.ceil(head_dim / chip.mxu) * chip.mxu)
