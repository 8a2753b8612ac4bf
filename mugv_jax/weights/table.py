# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Declarative table between published tensor names and parameter paths, used in both directions.

A table is data: one `Rule` per parameter. Import applies a rule from left to right (name -> path,
axes as written), export from right to left (the two sides of `axes` swapped). Both are exact: axes
are moved, no value is computed.
"""

import dataclasses
import re
from collections.abc import Mapping

LAYER = "{layer}"
Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Rule:
    """Mapping of one parameter.

    name: published name. If it contains `{layer}`, the tensors of all layers are stacked, in
        order, on a new leading axis of the parameter.
    path: "collection/module/.../leaf" in the variables, such as "params/blocks/mlp/up/kernel".
    axes: einops pattern from the published layout to ours, for one layer ("o i -> i o"); empty if
        the layouts are equal. Axis sizes that it leaves open are in `Table.sizes`.
    """

    name: str
    path: str
    axes: str = ""

    @property
    def stacked(self) -> bool:
        return LAYER in self.name


@dataclasses.dataclass(frozen=True)
class Target:
    """Rows of a published linear layer's weight: part number `part` of `parts` equal ones."""

    layer: str
    part: int = 0
    parts: int = 1


@dataclasses.dataclass(frozen=True)
class Spelling:
    """Another name of linear layers, as adapters have it; `{layer}` stands for the layer's number.

    targets: weights, or parts of one, whose rows follow each other in the output of `name`.
    """

    name: str
    targets: tuple[Target, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """Complete content of a checkpoint of one model.

    layers: number of layers that `{layer}` stands for.
    sizes: sizes of named einops axes, such as {"a": num_heads}.
    unused: published tensors (name -> shape) that every file has and the model does not read; they
        are kept unchanged under "unused/<name>", so that a round trip is lossless.
    optional: like `unused`, for tensors that only some files have.
    """

    rules: tuple[Rule, ...]
    layers: int = 0
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unused: Shapes = dataclasses.field(default_factory=dict)
    optional: Shapes = dataclasses.field(default_factory=dict)

    def names(self, rule: Rule) -> tuple[str, ...]:
        """Published names of the tensors that form the parameter of `rule`, in layer order."""
        if not rule.stacked:
            return (rule.name,)
        return tuple(rule.name.replace(LAYER, str(i)) for i in range(self.layers))


def split_axes(axes: str) -> list[list[str]]:
    """Axes of both sides of a pattern; composed axes keep their parentheses."""
    return [re.findall(r"\([^)]*\)|\w+", side) for side in axes.split("->")]
