# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Estimated step time of a compiled TPU program, from its text and stated assumptions.

    step = arithmetic + kernels + blocking exchanges + other exchanges that are not hidden

Nothing was measured on a chip: an estimate ranks meshes and names the bottleneck. The time of
attention has two bounds. At least it takes the cycles of its schedules; at most, as assumed in a
step, every step of a kernel's grid adds GRID_STEP_SECONDS.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping

from mugv_jax.compile.collectives import KINDS, Collective, sent_bytes
from mugv_jax.compile.schedule import AttentionCall, Schedule
from mugv_jax.compile.torus import Torus
from mugv_jax.compile.work import AttentionRun, Work
from mugv_jax.cost.chips import Chip

# What a step of a kernel's grid adds to its schedule, for the loop and for waiting for copies of
# blocks: about 0.35 us by JAX's documentation of Pallas.
GRID_STEP_SECONDS = 0.35e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Assumed shares of the ideal that a real program reaches.

    compiled: speed of the compiler's own operations, relative to its estimate.
    attention: speed of attention kernels without a known schedule, relative to the peak.
    memory: memory bandwidth that kernels with little arithmetic reach.
    links: bandwidth that a link reaches.
    overlap: part of a loop body's arithmetic during which its asynchronous exchanges run.

    Raises:
        ValueError: a share outside (0, 1], an overlap outside [0, 1].
    """

    compiled: float = 0.9
    attention: float = 0.65
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
    attention: seconds of attention kernels, with what steps of their grids add.
    attention_least: seconds of attention kernels by their schedules alone.
    modulation: seconds of other kernels.
    exposed: seconds of exchanges that the chip waits for, by kind.
    hidden: seconds of exchanges that run during arithmetic.
    sent: bytes (not seconds) that each chip sends, by kind.
    """

    arithmetic: float
    attention: float
    attention_least: float
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
    def step_least(self) -> float:
        """Seconds of the whole step, if attention takes no longer than its schedules."""
        return self.step - self.attention + self.attention_least

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
        return mfu(model_flops, self.step, chips, chip)


def mfu(model_flops: float, seconds: float, chips: int, chip: Chip) -> float:
    """Share of the peak of all chips that `model_flops` in so many seconds reach."""
    return model_flops / (seconds * chips * chip.peak_flops)


def estimate(
    work: Work,
    schedules: Mapping[AttentionCall, Schedule],
    exchanges: list[Collective],
    torus: Torus,
    assumptions: Assumptions,
) -> Estimate:
    """Estimated time of a step with the given arithmetic and exchanges."""
    chip = torus.chip
    arithmetic = {
        name: cycles / chip.clock_hz / assumptions.compiled for name, cycles in work.cycles.items()
    }
    attention, least = {}, 0.0
    for name, runs in work.attention.items():
        bounds = [
            [times * bound for bound in _attention(run, schedules, chip, assumptions)]
            for run, times in runs.items()
        ]
        least += sum(low for low, _ in bounds)
        attention[name] = sum(high for _, high in bounds)
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
        attention_least=least,
        modulation=sum(modulation.values()),
        exposed={kind: exposed[kind] for kind in KINDS if exposed[kind]},
        hidden=hidden,
        sent=sent_bytes(exchanges),
    )


def _attention(
    run: AttentionRun,
    schedules: Mapping[AttentionCall, Schedule],
    chip: Chip,
    assumptions: Assumptions,
) -> tuple[float, float]:
    """Least and most seconds of a run of an attention kernel; heads are split over the cores."""
    schedule = schedules.get(run.call)
    if schedule is None:
        seconds = run.flops / (chip.peak_flops * assumptions.attention)
        return seconds, seconds
    heads = -(-run.heads // chip.cores)
    seconds = heads * schedule.cycles / chip.clock_hz
    return seconds, seconds + heads * schedule.steps * GRID_STEP_SECONDS
