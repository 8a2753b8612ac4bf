# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Table of low-rank factors: their names in files, and the parameters that they become.

The update of a published weight is B A, so the rows of B and the columns of A have the layout of
the weight's rows and columns, and the weight's rule determines how they are rearranged. Formats
differ in names only: a pattern has {} for the published layer, such as `blocks.0.attn.qkv`, and
{} for A or B.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

from mugv_jax.nn.lora import COLLECTION
from mugv_jax.weights.lora import Factors, factors_of
from mugv_jax.weights.parameters import parameters_of
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import Rule, Table


def adapter_table(table: Table, layers: Iterable[str], names: str) -> Table:
    """Table of an adapter's tensors: "lora/LAYER/a" and "lora/LAYER/b" for each of `layers`.

    Raises:
        ValueError: a layer that is not a linear one.
    """
    rules = tuple(rule for of in _rules(table, layers) for rule in _factor_rules(of, names))
    return dataclasses.replace(table, rules=rules, unused={}, optional={})


def factor_shapes(
    table: Table,
    layers: Iterable[str],
    names: str,
    weights: Mapping[str, tuple[int, ...]],
    rank: int,
) -> dict[str, tuple[int, int]]:
    """Shapes of the tensors of `adapter_table`, by name: A (rank, inputs), B (outputs, rank).

    weights: shapes of the model's published tensors.
    """
    shapes = {}
    for rule in _rules(table, layers):
        for weight in table.names(rule):
            outputs, inputs = weights[weight]
            a, b = _factor_names(weight, names)
            shapes |= {a: (rank, inputs), b: (outputs, rank)}
    return shapes


def read_factors(source: Source, updates: Table) -> Factors:
    """Factors of an adapter that fits `updates`, an `adapter_table`."""
    flat = parameters_of(source, updates)
    return factors_of({path.removeprefix(f"{COLLECTION}/"): lazy for path, lazy in flat.items()})


def layer_names(table: Table) -> dict[str, Rule]:
    """Rules of all kernels by the published names of their layers, in table order."""
    return {
        name.removesuffix(".weight"): rule
        for rule in table.rules
        if rule.path.endswith("/kernel")
        for name in table.names(rule)
    }


def layer_of(rule: Rule) -> str:
    """Path of the layer whose kernel a rule maps, such as "blocks/mlp/up"."""
    return rule.path.removeprefix("params/").removesuffix("/kernel")


def is_linear(rule: Rule) -> bool:
    """Whether a rule maps the kernel of a linear layer, which can have a low-rank update."""
    return len(_published_axes(rule)) == 2


def _rules(table: Table, layers: Iterable[str]) -> list[Rule]:
    of_path = {rule.path: rule for rule in table.rules}
    return [of_path[f"params/{layer}/kernel"] for layer in layers]


def _factor_rules(rule: Rule, names: str) -> tuple[Rule, Rule]:
    """Rules of A and B; for "o i -> i o" their axes are "rank i -> i rank", "o rank -> rank o"."""
    layer = layer_of(rule)
    if not is_linear(rule):
        raise ValueError(f"low-rank updates are for linear layers; {layer} is a convolution.")
    out, into = _published_axes(rule)
    right = _words(rule.axes.split("->")[1])
    ours_out = " ".join(axis for axis in right if _axes(axis) <= _axes(out))
    ours_into = " ".join(axis for axis in right if _axes(axis) <= _axes(into))
    a, b = _factor_names(rule.name, names)
    return (
        Rule(a, f"{COLLECTION}/{layer}/a", f"rank {into} -> {ours_into} rank"),
        Rule(b, f"{COLLECTION}/{layer}/b", f"{out} rank -> rank {ours_out}"),
    )


def _factor_names(weight: str, names: str) -> tuple[str, str]:
    a, b = (names.format(weight.removesuffix(".weight"), factor) for factor in "AB")
    return a, b


def _published_axes(rule: Rule) -> list[str]:
    return _words(rule.axes.split("->")[0])


def _words(side: str) -> list[str]:
    """Axes of one side of a pattern; composed axes keep their parentheses."""
    return re.findall(r"\([^)]*\)|\w+", side)


def _axes(pattern: str) -> set[str]:
    return set(re.findall(r"\w+", pattern))
