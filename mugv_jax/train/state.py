# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training state of a run: parameters, optimizer state, EMA, step and PRNG key as one pytree."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

Params = Any
Leaf = Any  # an array, or its shape or sharding in an abstract state


class TrainState(flax.struct.PyTreeNode):
    """State of a run. Master weights are float32, whatever the compute dtype.

    step: steps taken, including skipped ones.  skipped: steps with a non-finite loss or gradient.
    params: trained parameters: the weights, or low-rank updates of them.
    frozen: weights that are not trained.  ema: running average of `params`, or None.
    key: data of the run's PRNG key; the key of a step is `key` folded with `step`.
    extra: further state of the objective by name: weights of other policies, their optimizer states
        (NAME_opt), constants of the network, inputs of the whole run.
    """

    step: Leaf
    skipped: Leaf
    params: Params
    frozen: Params
    opt: optax.OptState
    ema: Params | None
    key: Leaf
    extra: dict[str, Any] = flax.struct.field(default_factory=dict)


def new_state(
    params: Params,
    frozen: Params,
    optimizer: optax.GradientTransformation,
    *,
    ema: bool,
    seed: int,
    extra: dict[str, Any] | None = None,
) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        params=params,
        frozen=frozen,
        opt=optimizer.init(params),
        # A copy: params and EMA are both donated to the step and cannot share buffers.
        ema=jax.tree.map(jnp.copy, params) if ema else None,
        key=jax.random.key_data(jax.random.key(seed)),
        extra=extra or {},
    )


def split(params: Params, freeze: Sequence[str]) -> tuple[Params, Params]:
    """(trained, frozen) parts of a tree; a leaf is frozen if a pattern is found in its path.

    Raises:
        ValueError: a pattern that matches no path, or no parameter left to train.
    """
    flat = traverse_util.flatten_dict(params, sep="/")
    for pattern in freeze:
        if not any(re.search(pattern, path) for path in flat):
            raise ValueError(
                f"freeze pattern {pattern!r} is found in no parameter's path, such as "
                f"{next(iter(flat))!r}."
            )
    frozen, trained = partition(
        params, lambda path: any(re.search(pattern, path) for pattern in freeze)
    )
    if not trained:
        raise ValueError(f"freeze={tuple(freeze)} leaves no parameter to train.")
    return trained, frozen


def partition(params: Params, chosen: Callable[[str], bool]) -> tuple[Params, Params]:
    """(leaves whose path is chosen, the others), as two trees."""
    flat = traverse_util.flatten_dict(params, sep="/")
    first = {path: leaf for path, leaf in flat.items() if chosen(path)}
    rest = {path: leaf for path, leaf in flat.items() if path not in first}
    return traverse_util.unflatten_dict(first, sep="/"), traverse_util.unflatten_dict(rest, sep="/")


def join(*parts: Params) -> Params:
    """One tree with the leaves of all `parts`; of several at one path, the last."""
    flat = {}
    for part in parts:
        flat |= traverse_util.flatten_dict(part, sep="/")
    return traverse_util.unflatten_dict(flat, sep="/")
