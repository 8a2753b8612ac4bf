# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cycles of attention kernels on a TPU, from the schedule of its compiler.

The compiler writes the final instruction bundles of a kernel, of which a core starts one a cycle,
to a folder that is named before libtpu is loaded. Hence kernels are compiled in a process of their
own, alone and for a few heads: a schedule depends on the blocks, not on the number of heads.

A step of the grid is one pair of blocks. Its cycles are the bundles of the longest part without
branches that has matrix products, or those in which the matrix units take the rows that are sent to
them, if these are more: the schedule assumes that a unit takes rows at any rate. What branches skip
in most steps (the first and the last block, masks), the loop over the grid, and waiting for memory
are not included; see `estimate.GRID_STEP_SECONDS`.
"""

import dataclasses
import functools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mugv_jax.compile.steps import slice_devices
from mugv_jax.cost.chips import Chip, chip_of
from mugv_jax.kernels.attention import blocked
from mugv_jax.sharding import mesh as meshes

# Beginning of a kernel's name -> implementation, function, and matrix products, each of 2 n s e
# operations per head. The backward kernels compute the scores again.
ATTENTION = {
    "attention_forward": ("tpu", "forward", 2),
    "attention_backward": ("tpu", "backward", 5),
    "splash_mha_fwd": ("splash", "forward", 2),
    "splash_mha_dkv": ("splash", "backward", 5),
}
HEADS = 2  # of the kernels that are compiled
DUMP = "--xla_jf_dump_to={} --xla_jf_dump_llo_text=true --xla_jf_dump_llo_pass_label_regex=final_"
ROWS = {"bf16": 16, "f32": 8}  # rows of the first operand that one instruction sends, by its dtype
DELAY = 4  # bundles after a branch that run in any case

_BUNDLE = re.compile(r"^\s*(?:0x[0-9a-f]+|0)\s+([A-Z]{2})?\s*:")
_PRODUCT = re.compile(r"\bvmatmul\.[\w.]*?\b(bf16|f32)\b[\w.]*?\.mxu(\d)")
_WINDOW = re.compile(
    r"input window allocation for operator input \d+\. The window shape is (?:bf16|f32)"
    r"\[([\d,]+)\], while the full shape is (?:bf16|f32)\[([\d,]+)\]"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionCall:
    """Sizes of a call of an attention kernel, with tokens padded to whole blocks.

    kernel: beginning of its name, a key of ATTENTION.
    itemsize: bytes of a number of q, k and v.
    """

    kernel: str
    queries: int
    keys: int
    head_dim: int
    itemsize: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Schedule of one core for one head.

    steps: steps of the grid, each a pair of blocks.
    bundles: instruction bundles of a step.
    matrix_cycles: cycles in which the busiest matrix unit takes the rows of a step.
    """

    steps: int
    bundles: int
    matrix_cycles: int

    @property
    def cycles(self) -> int:
        """Cycles of a head, without waiting and without what happens between steps."""
        return self.steps * max(self.bundles, self.matrix_cycles)


def schedules(calls: Sequence[AttentionCall], topology: str) -> dict[AttentionCall, Schedule]:
    """Schedules of the calls, for the chips of a topology; without those that cannot be compiled.

    Raises:
        ValueError: the compiler does not run, or writes no schedules.
    """
    if not calls:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "JAX_PLATFORMS": "cpu",
            "LIBTPU_INIT_ARGS": f"{os.environ.get('LIBTPU_INIT_ARGS', '')} {DUMP.format(folder)}",
        }
        given = {
            "topology": topology,
            "folder": folder,
            "calls": [dataclasses.asdict(call) for call in calls],
        }
        done = subprocess.run(
            [sys.executable, "-m", "mugv_jax.compile.schedule"],
            input=json.dumps(given),
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ValueError(f"the schedules of attention kernels for {topology} are unknown: {last}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {call: Schedule(**each) for call, each in zip(calls, found, strict=True)}


def compiled_schedule(call: AttentionCall, mesh: Mesh, chip: Chip, folder: Path) -> Schedule:
    """Schedule of a call, compiled in this process, whose libtpu writes to `folder`."""
    implementation, function, _ = ATTENTION[call.kernel]
    module = blocked(implementation)
    place = NamedSharding(mesh, PartitionSpec())
    dtype = {2: jnp.bfloat16, 4: jnp.float32}[call.itemsize]
    shape = functools.partial(jax.ShapeDtypeStruct, sharding=place)
    q = shape((1, call.queries, HEADS, call.head_dim), dtype)
    k = shape((1, call.keys, HEADS, call.head_dim), dtype)
    lse = shape(q.shape[:-1], jnp.float32)
    lengths = shape((1,), jnp.int32)
    arguments = [q, k, k, lengths] + [q, lse, q] * (function == "backward")
    before = set(folder.iterdir())
    with meshes.use(mesh):
        jax.jit(getattr(module, function)).lower(*arguments).compile()
    (written,) = (
        path
        for path in folder.glob(f"*-{call.kernel}*-final_bundles.txt")
        if path not in before and "schedule-analysis" not in path.name
    )
    return read(written.read_text(), chip)


def read(text: str, chip: Chip) -> Schedule:
    """Schedule of an attention kernel from its final bundles.

    Its first two floating-point arguments of three axes are q and k.
    """
    most, products = 0, Counter()
    for bundles in _straight(text):
        found = Counter(product for line in bundles for product in _PRODUCT.findall(line))
        if sum(found.values()) > sum(products.values()):
            most, products = len(bundles), found
    rows = Counter()
    for (dtype, unit), count in products.items():
        rows[unit] += ROWS[dtype] * count
    windows = [
        [[int(size) for size in shape.split(",")] for shape in shapes]
        for shapes in _WINDOW.findall(text)
    ]
    blocks = [(window, whole) for window, whole in windows if len(whole) >= 3][:2]
    per_head = [math.prod(whole) // math.prod(window) // HEADS for window, whole in blocks]
    return Schedule(
        steps=math.prod(per_head),
        bundles=most,
        matrix_cycles=round(max(rows.values()) * chip.cycles_per_row),
    )


def _straight(text: str) -> list[list[str]]:
    """Bundles between branches and places to which branches lead."""
    parts: list[list[str]] = [[]]
    left = None  # bundles until the last branch is taken
    for line in text.splitlines():
        bundle = _BUNDLE.match(line)
        if not bundle:
            continue
        if bundle[1]:
            parts.append([])
        parts[-1].append(line)
        if "sbr.rel" in line:
            left = DELAY
        elif left is not None:
            left -= 1
            if left == 0:
                parts.append([])
                left = None
    return parts


def main() -> None:
    """Read a topology, folder and calls from standard input, and print their schedules."""
    given: dict[str, Any] = json.load(sys.stdin)
    topology = given["topology"]
    mesh = Mesh(np.array(slice_devices(topology)[:1]), ("data",))
    found = [
        compiled_schedule(AttentionCall(**call), mesh, chip_of(topology), Path(given["folder"]))
        for call in given["calls"]
    ]
    json.dump([dataclasses.asdict(each) for each in found], sys.stdout)


if __name__ == "__main__":
    main()
