# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions of a compiled program, read from its text, and how often each of them runs.

The text lists a scanned body once. An instruction runs as often as its computation, which is the
product of the trip counts of the `while` loops around it.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_NAME = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_ARRAY = re.compile(r"\b(pred|bf16|[a-z]+?(\d+)\w*)\[([\d,]*)\]")
_COMMENT = re.compile(r"/\*.*?\*/")
_REFERENCE = re.compile(r"%([\w.\-]+)")
# Attributes that name computations; these run as often as the instruction.
_CALLS = re.compile(
    r"\b(?:calls|called_computations|branch_computations|true_computation|false_computation)="
    r"(\{[^}]*\}|%?[\w.\-]+)"
)
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_SAME = ("copy", "bitcast", "convert", "copy-done", "copy-start", "reshape")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """Line `%name = type opcode(operands), attributes`; a constant's operand is its value."""

    name: str
    opcode: str
    type: str
    operands: tuple[str, ...]
    attributes: str
    is_root: bool

    @property
    def arrays(self) -> tuple[int, ...]:
        """Bytes of each array of the result."""
        return tuple(map(_nbytes, _ARRAY.finditer(self.type)))

    def attribute(self, name: str) -> str | None:
        """Value of an attribute that is a word, quoted or not, or a computation's name."""
        found = re.search(rf'\b{name}="?%?([\w.\-]+)', self.attributes)
        return found and found[1]

    def required(self, name: str) -> str:
        """Value of an attribute that every instruction of this opcode has."""
        value = self.attribute(name)
        assert value is not None, (name, self)
        return value


class Run(NamedTuple):
    """One place where an instruction runs.

    times: how often it runs there in one call of the program.
    inside: enclosing operations, such as "fusion" or "async-start".
    """

    instruction: Instruction
    computation: str
    times: int
    inside: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Program:
    """Compiled program: its computations by name, each a mapping of instructions by name."""

    computations: Mapping[str, Mapping[str, Instruction]]
    entry: str

    def runs(self) -> Iterator[Run]:
        """All instructions that run, each once for every place from which it is called.

        A loop of unknown length counts as one iteration; see `unknown_loops`.
        """
        yield from self._runs(self.entry, 1, frozenset())

    def unknown_loops(self) -> tuple[str, ...]:
        """Loops whose number of iterations cannot be read from the text."""
        return tuple(
            run.instruction.name
            for run in self.runs()
            if run.instruction.opcode == "while"
            and self.trip_count(run.instruction, run.computation) is None
        )

    def _runs(self, computation: str, times: int, inside: frozenset[str]) -> Iterator[Run]:
        for each in self.computations[computation].values():
            yield Run(each, computation, times, inside)
            if each.opcode == "while":
                trips = self.trip_count(each, computation)
                body = each.required("body")
                yield from self._runs(body, times * (1 if trips is None else trips), inside)
            elif each.opcode == "call":
                yield from self._runs(each.required("to_apply"), times, inside)
            else:
                for group in _CALLS.findall(each.attributes):
                    for name in re.findall(r"[\w.\-]+", group):
                        yield from self._runs(name, times, inside | {each.opcode})

    def trip_count(self, loop: Instruction, computation: str) -> int | None:
        """Iterations of a `while`, as stated, or else ceil((limit - first) / step) of its counter.

        None if the loop does not count from one constant to another.
        """
        stated = _TRIPS.search(loop.attributes)
        if stated:
            return int(stated[1])
        index, limit = self._limit(self.computations[loop.required("condition")])
        around = self.computations[computation]
        initial = around[loop.operands[0]]
        first = _constant(around, initial.operands[index]) if initial.opcode == "tuple" else None
        step = _step(self.computations[loop.required("body")], index)
        if limit is None or first is None or not step:
            return None
        return max(0, math.ceil((limit - first) / step))

    def _limit(self, condition: Mapping[str, Instruction]) -> tuple[int, int | None]:
        """Index of the counter among the loop's values, and the value at which the loop ends."""
        root = _root(condition)
        compare, values = root, root.operands
        if root.opcode == "fusion":  # operands of the comparison are parameters of the fusion
            inner = self.computations[root.required("calls")]
            compare = _root(inner)
            values = tuple(
                root.operands[int(inner[name].operands[0])]
                if inner[name].opcode == "parameter"
                else name
                for name in compare.operands
            )
            condition = {**inner, **condition}
        index, limit = 0, None
        for name in values:
            source = _source(condition, name)
            if source.opcode == "get-tuple-element":
                index = int(source.required("index"))
            elif source.opcode == "constant":
                limit = int(source.operands[0])
        inclusive = compare.attribute("direction") in ("LE", "GE")
        return index, limit if limit is None else limit + inclusive


def parse(text: str) -> Program:
    """Program parsed from the text `compiled.as_text()`.

    Raises:
        ValueError: text without an entry computation.
    """
    computations: dict[str, dict[str, Instruction]] = {}
    entry, current = None, {}
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header:
            current = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
            continue
        instruction = _instruction(line)
        if instruction:
            current[instruction.name] = instruction
    if entry is None:
        raise ValueError("the text has no ENTRY computation: it is no compiled HLO program.")
    return Program(computations, entry)


def _instruction(line: str) -> Instruction | None:
    named = _NAME.match(line)
    if not named:
        return None
    rest = _COMMENT.sub("", line[named.end() :])
    end = _closing(rest, 0) if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    opening = rest.index("(")
    closing = _closing(rest, opening)
    inside = rest[opening + 1 : closing - 1]
    opcode = rest[:opening]
    operands = tuple(_REFERENCE.findall(inside))
    if not operands and inside:  # a constant's value, a parameter's number, names without a %
        operands = tuple(part.split()[-1] for part in inside.split(",") if part.strip())
    return Instruction(named[2], opcode, kind, operands, rest[closing:], bool(named[1]))


def _closing(text: str, opening: int) -> int:
    """Index after the bracket that closes the one at `opening`."""
    depth = 0
    for match in re.compile(r"[()]").finditer(text, opening):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.end()
    raise ValueError(f"no closing bracket in {text[:60]!r}.")


def _nbytes(array: re.Match) -> int:
    """Bytes of an array type such as `bf16[2,3]`."""
    bits = 8 if array[1] == "pred" else int(array[2] or 16)
    count = math.prod(int(size) for size in array[3].split(",") if size)
    return -(-count * bits // 8)


def _root(computation: Mapping[str, Instruction]) -> Instruction:
    return next(each for each in computation.values() if each.is_root)


def _source(computation: Mapping[str, Instruction], name: str) -> Instruction:
    """Instruction that produced a value, before copies and conversions."""
    each = computation[name]
    while each.opcode in _SAME and each.operands[0] in computation:
        each = computation[each.operands[0]]
    return each


def _constant(computation: Mapping[str, Instruction], name: str) -> int | None:
    source = _source(computation, name)
    return int(source.operands[0]) if source.opcode == "constant" else None


def _step(body: Mapping[str, Instruction], index: int) -> int | None:
    """Constant that the loop's body adds to the counter, or None."""
    root = _root(body)
    if root.opcode != "tuple":
        return None
    added = _source(body, root.operands[index])
    if added.opcode != "add":
        return None
    constants = [_constant(body, name) for name in added.operands]
    return next((value for value in constants if value is not None), None)
