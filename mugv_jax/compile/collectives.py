# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Exchanges of data between chips in a compiled program."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from mugv_jax.compile.hlo import Instruction, Program, Run

KINDS = ("all-gather", "reduce-scatter", "all-reduce", "all-to-all", "collective-permute")
_IOTA = re.compile(r"\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")
_MESH = re.compile(
    r"mesh\[([^\]]*)\](?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? \{(.*?)\}"
)
_SOURCE = re.compile(r'op_name="([^"]*)"')


@dataclasses.dataclass(frozen=True, eq=False)
class Collective:
    """One exchange, and how often it runs.

    payload: bytes of the whole array on one chip: after a gather, before a reduction, or exchanged.
    groups: numbers of the chips that exchange with each other, (groups, size); for a permutation,
        pairs (source, target).
    times: number of runs in one call of the program.
    asynchronous: start and end are separate operations, so arithmetic may run in between.
    computation: part of the program that contains the exchange.
    source: operation of the model that causes the exchange.
    """

    kind: str
    payload: int
    groups: np.ndarray
    times: int
    asynchronous: bool
    computation: str
    source: str

    @property
    def sent(self) -> float:
        """Bytes that each chip sends in all runs, by the best algorithm on a ring."""
        others = 1 - 1 / self.groups.shape[1]
        once = {"all-reduce": 2 * others, "collective-permute": 1}.get(self.kind, others)
        return self.times * once * self.payload


def collectives(program: Program, devices: int) -> Iterator[Collective]:
    """Exchanges of a program that runs on `devices` chips; groups of one chip are left out."""
    for run in program.runs():
        name = run.instruction.opcode
        kind = name.removesuffix("-start")
        if kind not in KINDS:
            continue
        # The TPU compiler writes a reduce-scatter as an all-reduce in a fusion with this name.
        scattered = run.computation.startswith("all-reduce-scatter")
        groups = _groups(run.instruction, devices)
        if groups.shape[1] < 2 or not len(groups):
            continue
        yield Collective(
            kind="reduce-scatter" if scattered else kind,
            payload=_payload(run, kind, groups.shape[1]),
            groups=groups,
            times=run.times,
            asynchronous=name.endswith("-start") or "async-start" in run.inside,
            computation=run.computation,
            source=(_SOURCE.search(run.instruction.attributes) or ("", ""))[1],
        )


def sent_bytes(exchanges: Iterable[Collective]) -> dict[str, int]:
    """Bytes that each chip sends, by kind, in the order of KINDS."""
    sent: Counter[str] = Counter()
    for each in exchanges:
        sent[each.kind] += round(each.sent)
    return {kind: sent[kind] for kind in KINDS if sent[kind]}


def _payload(run: Run, kind: str, size: int) -> int:
    """Bytes of the whole array (see `Collective`); `size` is the number of chips in a group."""
    arrays = run.instruction.arrays
    if run.instruction.opcode in ("all-gather-start", "all-to-all-start", "reduce-scatter-start"):
        arrays = arrays[len(arrays) // 2 :]  # (operands, results)
    elif run.instruction.opcode == "collective-permute-start":
        arrays = arrays[:1]  # (operand, result, two counters)
    return sum(arrays) * (size if kind == "reduce-scatter" else 1)


def _groups(instruction: Instruction, devices: int) -> np.ndarray:
    """Device numbers of the groups, (groups, size).

    Raises:
        ValueError: an unknown notation.
    """
    attributes = instruction.attributes
    pairs = re.search(r"source_target_pairs=\{(.*?\})\}", attributes)
    if pairs:
        moved = [pair for pair in _listed(pairs[1]) if pair[0] != pair[1]]
        return np.array(moved, int).reshape(-1, 2)
    value = attributes.partition("replica_groups=")[2]
    if value.startswith("{}"):
        return np.arange(devices)[None]
    if value.startswith("{"):
        return np.array(_listed(value[1 : value.index("}}") + 1]))
    iota = _IOTA.match(value)
    if iota:
        return _iota(iota[2], iota[3]).reshape(_integers(iota[1]))
    mesh = _MESH.match(value)
    if mesh:
        return _mesh_groups(mesh)
    raise ValueError(f"{instruction.name}: replica groups {value[:80]!r} are of an unknown form.")


def _mesh_groups(mesh: re.Match) -> np.ndarray:
    """Groups along the named axes of a mesh, written `mesh['a'=4,'b'=16] {'b'}`."""
    sizes = {name: int(size) for name, size in re.findall(r"'([^']+)'=(\d+)", mesh[1])}
    axes = re.findall(r"'([^']+)'(:\S+)?", mesh[4])
    if any(part for _, part in axes):
        raise ValueError(f"replica groups over a part of a mesh axis, {mesh[4]}, are not known.")
    shape = tuple(sizes.values())
    order = _iota(mesh[2], mesh[3]) if mesh[2] else np.arange(math.prod(shape))
    inner = [list(sizes).index(axis) for axis, _ in axes]
    outer = [axis for axis in range(len(shape)) if axis not in inner]
    size = math.prod(shape[axis] for axis in inner)
    return order.reshape(shape).transpose(outer + inner).reshape(-1, size)


def _iota(shape: str, transposed: str | None) -> np.ndarray:
    """Consecutive numbers in a shape, with transposed axes if these are given."""
    sizes = _integers(shape)
    numbers = np.arange(math.prod(sizes)).reshape(sizes)
    return numbers.transpose(_integers(transposed)) if transposed else numbers


def _listed(text: str) -> list[list[int]]:
    """Groups written as `{0,1},{2,3}`."""
    return [_integers(group) for group in re.findall(r"\{([\d,]*)\}", text)]


def _integers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]
