# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Muon optimizer: orthogonalised momentum (Jordan, 2024), scaled as in arXiv:2502.16982.

    M <- momentum of the gradient G (in x out),   U S V^T = M (1-b) with Nesterov momentum
    direction = 0.2 sqrt(max(in, out)) U V^T

U V^T comes from five Newton-Schulz iterations. The factor matches the usual RMS of Adam's updates,
so that both share one learning rate. Parameters that are not kernels are updated by Adam.
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
# Linear layers with several output axes: only the first axis of their kernels is contracted.
ONTO_MANY = re.compile(r"(^|/)(q|kv|qkv|modulation)/kernel$")
STACKED = "blocks/"  # scanned layers, whose parameters have a leading layer axis


def scale_by_muon(adam: optax.GradientTransformation) -> optax.GradientTransformation:
    """Muon updates for all kernels in a nested dict, `adam` updates for other parameters."""
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
    """(kernels, all other parameters)."""
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
    """(contracted (input) axes, output axes) of a kernel."""
    first = 1 if path.startswith(STACKED) else 0
    split = first + 1 if ONTO_MANY.search(path) else ndim - 1
    return tuple(range(first, split)), tuple(range(split, ndim))


def _sized(path: str, direction: Array) -> Array:
    axes = _axes_of(path, direction.ndim)
    sizes = (math.prod(direction.shape[i] for i in each) for each in axes)
    return direction * (SIZE * math.sqrt(max(sizes)))
