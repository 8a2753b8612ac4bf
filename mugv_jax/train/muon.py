# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Muon (Jordan, 2024; scaled as in arXiv:2502.16982): matrices step along orthogonal directions.

    M <- momentum of the gradient G (in x out),   U S V^T = M (1-b) with Nesterov's look ahead
    direction = 0.2 sqrt(max(in, out)) U V^T

U V^T comes from five Newton-Schulz iterations. The factor gives it Adam's usual size per value, so
that one learning rate serves both. Everything that is no kernel is left to Adam.
"""

import math
import re
from typing import Any

import optax
from flax import traverse_util
from optax import contrib

from mugv_jax.axes import Array

MOMENTUM = 0.95
SIZE = 0.2  # root mean square of a direction's values
# Linear layers onto several axes: their kernels begin with the only axis that is summed over.
ONTO_MANY = re.compile(r"(^|/)(q|kv|qkv|modulation)/kernel$")
STACKED = "blocks/"  # layers that are scanned: the first axis is theirs


def scale_by_muon(adam: optax.GradientTransformation) -> optax.GradientTransformation:
    """Directions of kernels, at any depth of a tree of dicts; those of the rest are `adam`'s."""
    muon = contrib.scale_by_muon(beta=MOMENTUM, weight_dimension_numbers=_axes)

    def init(params: Any) -> dict[str, optax.OptState]:
        kernels, others = _parts(params)
        return {"muon": muon.init(kernels), "adam": adam.init(others)}

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        kernels, others = _parts(updates)
        directions, muon_state = muon.update(kernels, state["muon"])
        flat: Any = traverse_util.flatten_dict(directions, sep="/")
        flat = {path: _sized(path, direction) for path, direction in flat.items()}
        rest, adam_state = adam.update(others, state["adam"])
        flat |= traverse_util.flatten_dict(rest, sep="/")
        return traverse_util.unflatten_dict(flat, sep="/"), {"muon": muon_state, "adam": adam_state}

    return optax.GradientTransformation(init, update)


def _parts(tree: Any) -> tuple[Any, Any]:
    """Kernels, and everything else."""
    flat = traverse_util.flatten_dict(tree, sep="/")
    parts = (
        {path: leaf for path, leaf in flat.items() if path.endswith("kernel") == wanted}
        for wanted in (True, False)
    )
    kernels, others = (traverse_util.unflatten_dict(part, sep="/") for part in parts)
    return kernels, others


def _axes(kernels: Any) -> Any:
    flat: Any = traverse_util.flatten_dict(kernels, sep="/")
    axes = {
        path: contrib.MuonDimensionNumbers(*_axes_of(path, leaf.ndim))
        for path, leaf in flat.items()
    }
    return traverse_util.unflatten_dict(axes, sep="/")


def _axes_of(path: str, ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(axes of a kernel that are inputs and summed over, axes that are outputs)."""
    first = 1 if path.startswith(STACKED) else 0
    split = first + 1 if ONTO_MANY.search(path) else ndim - 1
    return tuple(range(first, split)), tuple(range(split, ndim))


def _sized(path: str, direction: Array) -> Array:
    axes = _axes_of(path, direction.ndim)
    sizes = (math.prod(direction.shape[i] for i in each) for each in axes)
    return direction * (SIZE * math.sqrt(max(sizes)))
