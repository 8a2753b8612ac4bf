# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Peak performance of chips, and how TPU chips are connected.

TPU: peak, memory and bandwidths are from the system architecture pages,
docs.cloud.google.com/tpu/docs/v5e, v5p and v6e; these give the interconnect's bandwidth as the sum
over both directions of all links of a chip. The clock, in which the compiler counts, is
peak / (2 x multipliers). GPU: dense bfloat16 peak of NVIDIA's data sheets.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """One chip, which is one device to JAX.

    kind: JAX's name of the device.
    peak_flops: bfloat16 FLOP/s.
    hbm_bytes: size of the memory.
    hbm_bandwidth: bytes/s of the memory.
    link_bandwidth: bytes/s of one link in one direction; a chip has two links on each torus axis.
    ring: a torus axis is a closed ring if its length is a multiple of this.
    mxu: side of the matrix unit; shorter contractions and results leave a part of it idle.
    flops_per_cycle: FLOPs of all matrix units together.
    cores: cores of the chip; a kernel's heads are split over them.
    mxus: matrix units of a core.
    """

    kind: str
    peak_flops: float
    hbm_bytes: int
    hbm_bandwidth: float
    link_bandwidth: float
    ring: int
    mxu: int
    flops_per_cycle: int
    cores: int
    mxus: int

    @property
    def clock_hz(self) -> float:
        """Cycles per second."""
        return self.peak_flops / self.flops_per_cycle

    @property
    def cycles_per_row(self) -> float:
        """Cycles that a matrix unit needs to multiply one row with what it holds."""
        return 2 * self.mxu**2 * self.mxus * self.cores / self.flops_per_cycle


CHIPS = {
    "v5e": Chip(
        kind="TPU v5 lite",
        peak_flops=197e12,
        hbm_bytes=16 * 10**9,
        hbm_bandwidth=819e9,
        link_bandwidth=400e9 / 8,
        ring=16,
        mxu=128,
        flops_per_cycle=2 * 4 * 128**2,
        cores=1,
        mxus=4,
    ),
    "v5p": Chip(
        kind="TPU v5",
        peak_flops=459e12,
        hbm_bytes=95 * 2**30,
        hbm_bandwidth=2765e9,
        link_bandwidth=1200e9 / 12,
        ring=4,
        mxu=128,
        flops_per_cycle=2 * 8 * 128**2,
        cores=2,
        mxus=4,
    ),
    "v6e": Chip(
        kind="TPU v6 lite",
        peak_flops=918e12,
        hbm_bytes=32 * 10**9,
        hbm_bandwidth=1640e9,
        link_bandwidth=800e9 / 8,
        ring=16,
        mxu=256,
        flops_per_cycle=2 * 4 * 256**2,  # two rows a cycle
        cores=1,
        mxus=2,
    ),
}


def chip_of(topology: str) -> Chip:
    """Chip of a topology such as "v5p:4x4x4".

    Raises:
        ValueError: a chip that is not in the table.
    """
    name = topology.partition(":")[0]
    if name not in CHIPS:
        raise ValueError(
            f"topology {topology!r}: chip {name!r} is not in the table, which has "
            f"{', '.join(CHIPS)}. Write a slice as v5p:4x4x4."
        )
    return CHIPS[name]


# Beginning of a GPU's kind -> peak bfloat16 FLOP/s. Longer names come first.
GPU_PEAKS = {
    "NVIDIA GB200": 2500e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA H200": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H100": 989e12,
    "NVIDIA A100": 312e12,
    "NVIDIA L40S": 362e12,
}


def peak_of(kind: str) -> float | None:
    """Peak bfloat16 FLOP/s of devices that JAX calls `kind`, or None."""
    for chip in CHIPS.values():
        if chip.kind == kind:
            return chip.peak_flops
    return next((peak for name, peak in GPU_PEAKS.items() if kind.startswith(name)), None)
