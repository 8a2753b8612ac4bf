# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Optimizers from Optax: AdamW or Muon with clipping, schedules and parameter groups."""

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mugv_jax.axes import Array
from mugv_jax.bounds import require_at_least
from mugv_jax.train.muon import scale_by_muon

METHODS = ("adamw", "muon")
SCHEDULES = ("constant", "cosine", "annealed")
MOMENT_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimizer settings; defaults are those of the released trainer.

    method: "adamw", or "muon" for kernels and AdamW for the rest (`train/muon.py`).
    schedule: learning rate after a linear warm-up over `warmup_steps`: "constant"; "cosine" down to
        `final_fraction` of the rate at the last step; or "annealed": constant, then linear down to
        `final_fraction` over the last `decay_steps`.
    clip: maximum global norm of the gradient.
    moment_dtype: dtype of both of Adam's moments; bfloat16 is rounded stochastically.
    groups: (regular expression, learning-rate scale, weight decay); the first expression found in a
        parameter's path ("blocks/mlp/up/bias") applies.
    freeze: regular expressions of the paths of parameters that are not trained.

    Raises:
        ValueError: values out of range.
    """

    method: str = "adamw"
    learning_rate: float = 1e-5
    schedule: str = "constant"
    warmup_steps: int = 100
    decay_steps: int = 0
    final_fraction: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-10
    weight_decay: float = 0.0
    clip: float = 1.0
    moment_dtype: str = "float32"
    groups: tuple[tuple[str, float, float], ...] = ()
    freeze: tuple[str, ...] = ()

    def __post_init__(self):
        choices = {"method": METHODS, "schedule": SCHEDULES, "moment_dtype": MOMENT_DTYPES}
        for field, known in choices.items():
            if getattr(self, field) not in known:
                value = getattr(self, field)
                raise ValueError(f"{field}={value!r} must be one of {', '.join(known)}.")
        for field in ("learning_rate", "clip", "epsilon"):
            if not getattr(self, field) > 0:
                raise ValueError(f"{field}={getattr(self, field)} must be above 0.")
        require_at_least(0, self, "warmup_steps", "decay_steps", "final_fraction", "weight_decay")
        for field in ("b1", "b2"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)} must lie in [0, 1).")
        for pattern in (*(group[0] for group in self.groups), *self.freeze):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"pattern {pattern!r} is no regular expression: {error}."
                ) from error


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Learning rate at each of `steps` updates, counted from 0.

    Raises:
        ValueError: warm-up and decay together are longer than the run.
    """
    peak, last = config.learning_rate, config.learning_rate * config.final_fraction
    decay = {"constant": 0, "cosine": steps - config.warmup_steps, "annealed": config.decay_steps}
    length = decay[config.schedule]
    hold = steps - config.warmup_steps - length
    if config.schedule != "constant" and (hold < 0 or length < 0):
        raise ValueError(
            f"warmup_steps={config.warmup_steps} and decay_steps={config.decay_steps} are longer "
            f"than the {steps} steps of the run: make them shorter, or raise run.steps."
        )
    # Update k = 1, 2, .. of the warm-up has k / warmup_steps of the peak, so the first is not 0.
    first = peak / max(1, config.warmup_steps)
    warmup = optax.linear_schedule(first, peak, max(1, config.warmup_steps - 1))
    parts, bounds = [warmup, optax.constant_schedule(peak)], [config.warmup_steps]
    if config.schedule == "cosine":
        parts.append(optax.cosine_decay_schedule(peak, max(1, length), config.final_fraction))
    elif config.schedule == "annealed":
        parts.append(optax.linear_schedule(peak, last, max(1, length)))
    if len(parts) == 3:
        bounds.append(config.warmup_steps + hold)
    return _promoting(optax.join_schedules(parts, bounds))


def _promoting(function: Callable) -> Callable:
    """`function` of Optax under standard dtype promotion, as it mixes step counts and floats."""

    @functools.wraps(function)
    def promoting(*args: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return function(*args)

    return promoting


def make_optimizer(
    config: OptimizerConfig, steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """(optimizer, learning-rate schedule) of a run of `steps` updates."""
    schedule = learning_rate(config, steps)
    adam = scale_by_adam(config)
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.clip),
        scale_by_muon(adam) if config.method == "muon" else adam,
        _decay_and_scale(config),
        optax.scale_by_learning_rate(schedule),
    )
    return optax.GradientTransformation(optimizer.init, _promoting(optimizer.update)), schedule


def scale_by_adam(config: OptimizerConfig) -> optax.GradientTransformation:
    """`optax.scale_by_adam` with moments stored in `moment_dtype` between steps.

    The second moment changes by about 1e-3 of its value per step, less than bfloat16 resolves, so
    rounding to nearest would keep it constant. Stochastic rounding is correct in expectation.
    """
    adam = optax.scale_by_adam(config.b1, config.b2, config.epsilon)
    if config.moment_dtype == "float32":
        return adam

    def init(params: Any) -> Any:
        return adam.init(optax.tree.cast(params, jnp.bfloat16))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        wide: Any = optax.tree.cast((state.mu, state.nu), jnp.float32)
        updates, state = adam.update(updates, state._replace(mu=wide[0], nu=wide[1]), params)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(0), state.count))
        mu, nu = _round_tree(keys[0], state.mu), _round_tree(keys[1], state.nu)
        return updates, state._replace(mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)


def _round_tree(key: Array, tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten([stochastic_bfloat16(k, x) for k, x in zip(keys, leaves)])


def stochastic_bfloat16(key: Array, x: Array) -> Array:
    """Stochastic rounding of `x` (float32) to a neighbouring bfloat16; its expectation is x."""
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32)
    bits = bits + (jax.random.bits(key, x.shape, jnp.uint32) >> jnp.uint32(16))
    rounded = jax.lax.bitcast_convert_type(bits & jnp.uint32(0xFFFF0000), jnp.float32)
    return jnp.where(jnp.isfinite(x), rounded, x).astype(jnp.bfloat16)


def _decay_and_scale(config: OptimizerConfig) -> optax.GradientTransformation:
    """Weight decay and learning-rate scale: scale_group (update + decay_group parameter)."""

    groups = (*config.groups, ("", 1.0, config.weight_decay))  # "" is found in every path

    def of_leaf(path: tuple, update: Array, parameter: Array) -> Array:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        scale, decay = next(group[1:] for group in groups if re.search(group[0], name))
        return scale * (update + decay * parameter)

    return optax.stateless(functools.partial(jax.tree_util.tree_map_with_path, of_leaf))
