# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of the cycles of attention kernels on TPUs, from the schedules of the compiler.

    python -m tools.attention_cycles --topology v5p:2x2x1 v6e:2x2 --head-dim 64 72 128

Cycles are per pair of 1,024 queries and 1,024 keys: bundles of the schedule, and those in which the
matrix units take the rows. The larger one is the least time of a core. Nothing is run.
"""

import argparse
import sys
from collections.abc import Sequence

from mugv_jax.compile.schedule import ATTENTION, AttentionCall, Schedule, schedules

TOKENS = 4096  # a multiple of all blocks
PAIR = 1024


def row(call: AttentionCall, topology: str, schedule: Schedule) -> str:
    """Row of the table."""
    pairs = (TOKENS // PAIR) ** 2
    bundles, matrix = (
        round(schedule.steps * cycles / pairs)
        for cycles in (schedule.bundles, schedule.matrix_cycles)
    )
    chip = topology.partition(":")[0]
    return f"| {chip} | {call.head_dim} | {call.kernel} | {bundles:,} | {matrix:,} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--topology", nargs="+", default=["v5e:2x2", "v5p:2x2x1", "v6e:2x2"])
    parser.add_argument("--head-dim", nargs="+", type=int, default=[64, 72, 128])
    parser.add_argument("--kernel", nargs="+", choices=ATTENTION, default=list(ATTENTION))
    args = parser.parse_args(argv)
    print("| chip | head | kernel | bundles | rows |\n| --- | --- | --- | --- | --- |")
    for topology in args.topology:
        calls = [
            AttentionCall(kernel=kernel, queries=TOKENS, keys=TOKENS, head_dim=size, itemsize=2)
            for size in args.head_dim
            for kernel in args.kernel
        ]
        for call, schedule in schedules(calls, topology).items():
            print(row(call, topology, schedule), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
