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
from collections.abc import Iterable

from mugv_jax.nn.lora import COLLECTION, LoraConfig
from mugv_jax.weights.lora import Factors, factors_of
from mugv_jax.weights.parameters import parameters_of
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import Rule, Table, split_axes


def adapter_table(table: Table, layers: Iterable[str], names: str) -> Table:
    """Table of an adapter's tensors: "lora/LAYER/a" and "lora/LAYER/b" for each of `layers`."""
    rules = tuple(rule for of in _rules(table, layers) for rule in _factor_rules(of, names))
    return dataclasses.replace(table, rules=rules, unused={}, optional={})


def factors_in(source: Source, table: Table) -> Factors:
    """Factors by layer in a source that fits `table`, a table of `adapter_table`."""
    flat = parameters_of(source, table)
    return factors_of({path.removeprefix(f"{COLLECTION}/"): lazy for path, lazy in flat.items()})


def lora_config(rank: int, alpha: float, factors: Factors) -> LoraConfig:
    """Config of the updates of exactly the layers of `factors`."""
    return LoraConfig(rank=rank, alpha=alpha, targets=tuple(f"^{layer}$" for layer in factors))


def linear_layers(table: Table) -> dict[str, str]:
    """Paths of all linear layers, such as "blocks/mlp/up", by published name, in table order."""
    return {
        name.removesuffix(".weight"): _layer(rule)
        for rule in table.rules
        if rule.path.endswith("/kernel") and len(split_axes(rule.axes)[0]) == 2
        for name in table.names(rule)
    }


def _layer(rule: Rule) -> str:
    return rule.path.removeprefix("params/").removesuffix("/kernel")


def _rules(table: Table, layers: Iterable[str]) -> list[Rule]:
    of_path = {rule.path: rule for rule in table.rules}
    return [of_path[f"params/{layer}/kernel"] for layer in layers]


def _factor_rules(rule: Rule, names: str) -> tuple[Rule, Rule]:
    """Rules of A and B; for "o i -> i o" their axes are "rank i -> i rank", "o rank -> rank o"."""
    layer = _layer(rule)
    (out, into), right = split_axes(rule.axes)
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


def _axes(pattern: str) -> set[str]:
    return set(re.findall(r"\w+", pattern))
