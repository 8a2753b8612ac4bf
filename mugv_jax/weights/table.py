# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The declarative table between published tensor names and parameter paths, read both ways.

A table is data: one `Rule` per parameter. Import reads a rule left to right (name -> path, axes
as written), export right to left (the two sides of `axes` swapped). Both are exact: only axes
move, no value is computed.
"""

import dataclasses
from collections.abc import Mapping

LAYER = "{layer}"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One parameter.

    name: the published name. Where it holds `{layer}`, the tensors of all layers are stacked, in
        order, on a new leading axis of the parameter.
    path: "collection/module/.../leaf" of the variables, such as "params/blocks/mlp/up/kernel".
    axes: einops pattern from the published layout to ours, for one layer ("o i -> i o"); empty
        where the layouts agree. Axis sizes that it leaves open are in `Table.sizes`.
    """

    name: str
    path: str
    axes: str = ""

    @property
    def stacked(self) -> bool:
        return LAYER in self.name


@dataclasses.dataclass(frozen=True)
class Table:
    """All that a checkpoint of one model holds.

    layers: how many `{layer}` there are.
    sizes: named einops axes, such as {"a": num_heads}.
    unused: published tensors (name -> shape) that the model never reads but every file has; kept
        untouched under "unused/<name>", so that a round trip loses nothing.
    optional: the same for tensors that only some files have.
    """

    rules: tuple[Rule, ...]
    layers: int = 0
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unused: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    optional: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)

    def names(self, rule: Rule) -> tuple[str, ...]:
        """The published names that make up the parameter of `rule`, in layer order."""
        if not rule.stacked:
            return (rule.name,)
        return tuple(rule.name.replace(LAYER, str(i)) for i in range(self.layers))
