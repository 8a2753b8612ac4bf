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
from mugv_jax.train.state import join, partition

MOMENTUM = 0.95
SIZE = 0.2  # root mean square of a direction's values
# Linear layers with several output axes: only the first axis of their kernels is contracted.
ONTO_MANY = re.compile(r"(^|/)(q|kv|qkv|modulation)/kernel$")
STACKED = "blocks"  # scanned layers, whose parameters have a leading layer axis


def scale_by_muon(adam: optax.GradientTransformation) -> optax.GradientTransformation:
    """Muon updates for all kernels in a nested dict, `adam` updates for other parameters."""
    muon = contrib.scale_by_muon(beta=MOMENTUM, weight_dimension_numbers=_dimension_numbers)

    def init(params: Any) -> dict[str, optax.OptState]:
        kernels, others = _parts(params)
        return {"muon": muon.init(kernels), "adam": adam.init(others)}

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        kernels, others = _parts(updates)
        orthogonal: Any
        orthogonal, muon_state = muon.update(kernels, state["muon"])
        directions = traverse_util.path_aware_map(_sized, orthogonal)
        rest, adam_state = adam.update(others, state["adam"])
        return join(directions, rest), {"muon": muon_state, "adam": adam_state}

    return optax.GradientTransformation(init, update)


def _parts(tree: Any) -> tuple[Any, Any]:
    """(kernels, all other parameters)."""
    return partition(tree, lambda path: path.endswith("kernel"))


def _dimension_numbers(kernels: Any) -> Any:
    return traverse_util.path_aware_map(
        lambda path, kernel: contrib.MuonDimensionNumbers(*_axes(path, kernel.ndim)), kernels
    )


def _axes(path: tuple[Any, ...], ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(contracted (input) axes, output axes) of a kernel."""
    first = int(path[0] == STACKED)
    split = first + 1 if ONTO_MANY.search("/".join(path)) else ndim - 1
    return tuple(range(first, split)), tuple(range(split, ndim))


def _sized(path: tuple[Any, ...], direction: Array) -> Array:
    axes = _axes(path, direction.ndim)
    sizes = (math.prod(direction.shape[i] for i in each) for each in axes)
    return direction * (SIZE * math.sqrt(max(sizes)))
