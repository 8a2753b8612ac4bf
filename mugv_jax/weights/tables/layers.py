# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rules of the layers that most tables have, and the checks with which sizes are inferred."""

import re
from collections.abc import Iterator

from mugv_jax.weights.table import Rule, Shapes, Spelling, Target

# Axes of kernels and biases: to heads (head dim last), from heads, and of convolutions.
TO_HEADS = "(a e) d -> d a e", "(a e) -> a e"
FROM_HEADS = "d (a e) -> a e d"
CONV_2D, CONV_3D = "o i h w -> h w i o", "o i f h w -> f h w i o"


def linear(name: str, path: str, axes: str = "o i -> i o", bias: str = "") -> tuple[Rule, Rule]:
    """Rules of the kernel and bias of a linear layer or convolution, with their axes."""
    return (
        Rule(f"{name}.weight", f"params/{path}/kernel", axes),
        Rule(f"{name}.bias", f"params/{path}/bias", bias),
    )


def norm(name: str, path: str) -> tuple[Rule, Rule]:
    """Rules of the scale and bias of a norm."""
    return Rule(f"{name}.weight", f"params/{path}/scale"), Rule(
        f"{name}.bias", f"params/{path}/bias"
    )


def weight_shapes(shapes: Shapes, what: str, *layers: str) -> list[tuple[int, ...]]:
    """Shapes of the weights of `layers`, from which the sizes of `what` are inferred.

    Raises:
        ValueError: some are missing.
    """
    names = [f"{layer}.weight" for layer in layers]
    missing = [name for name in names if name not in shapes]
    if missing:
        raise ValueError(f"not {what}: it has no {', '.join(missing)}.")
    return [shapes[name] for name in names]


def count(shapes: Shapes, prefix: str) -> int:
    """Number of layers in a checkpoint, whose names are `prefix`, their number from 0, and ".".

    Raises:
        ValueError: a number above that of all tensors, so that most layers must be missing.
    """
    found = (re.match(rf"{re.escape(prefix)}(\d{{1,9}})\.", name) for name in shapes)
    layers = 1 + max((int(match[1]) for match in found if match), default=-1)
    if layers > len(shapes):
        raise ValueError(
            f"layer {prefix}{layers - 1} is named, but there are {len(shapes)} tensors in all: "
            "layers are missing."
        )
    return layers


def split(name: str, layer: str, parts: str, forms: tuple[str, ...]) -> Iterator[Spelling]:
    """Spellings of the `parts` of a fused layer: `name` and a form with "q", "k" or "v" for "*"."""
    for number, part in enumerate(parts):
        for form in forms:
            target = Target(layer, number, len(parts))
            yield Spelling(name + form.replace("*", part), (target,))


def whole(name: str, *layers: str) -> Spelling:
    """Spelling of one layer, or of several whose rows follow each other."""
    return Spelling(name, tuple(map(Target, layers)))
