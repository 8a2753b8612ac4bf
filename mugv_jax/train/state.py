# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""All that a training run is at one step, as one tree."""

import re
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

Params = Any
Leaf = Any  # an array; or its shape or its sharding, in a state of those


class TrainState(flax.struct.PyTreeNode):
    """Master weights are float32, whatever the arithmetic's dtype.

    step: steps taken, skipped ones included.  skipped: steps whose loss or gradient was not finite.
    params: what is trained: the weights, or low-rank updates of them.
    frozen: weights that are not.  ema: running average of `params`, or None.
    key: data of the run's PRNG key; a step's own key is `key` folded with `step`.
    """

    step: Leaf
    skipped: Leaf
    params: Params
    frozen: Params
    opt: optax.OptState
    ema: Params | None
    key: Leaf


def new_state(
    params: Params,
    frozen: Params,
    optimizer: optax.GradientTransformation,
    *,
    ema: bool,
    seed: int,
) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        params=params,
        frozen=frozen,
        opt=optimizer.init(params),
        # A copy: params and average are donated to the step as different buffers.
        ema=jax.tree.map(jnp.copy, params) if ema else None,
        key=jax.random.key_data(jax.random.key(seed)),
    )


def split(params: Params, freeze: Sequence[str]) -> tuple[Params, Params]:
    """(trained, frozen) parts of a tree; frozen is what a pattern is found in the path of.

    Raises:
        ValueError: a pattern that is found nowhere, or nothing left to train.
    """
    flat = traverse_util.flatten_dict(params, sep="/")
    for pattern in freeze:
        if not any(re.search(pattern, path) for path in flat):
            raise ValueError(
                f"freeze pattern {pattern!r} is found in no parameter's path, such as "
                f"{next(iter(flat))!r}."
            )
    frozen = {path for path in flat if any(re.search(pattern, path) for pattern in freeze)}
    if len(frozen) == len(flat):
        raise ValueError(f"freeze={tuple(freeze)} leaves no parameter to train.")
    parts = (
        {path: leaf for path, leaf in flat.items() if (path in frozen) == wanted}
        for wanted in (False, True)
    )
    trained, kept = (traverse_util.unflatten_dict(part, sep="/") for part in parts)
    return trained, kept


def join(*parts: Params) -> Params:
    """The tree of which `parts` hold different leaves."""
    flat = {}
    for part in parts:
        flat |= traverse_util.flatten_dict(part, sep="/")
    return traverse_util.unflatten_dict(flat, sep="/")
