# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training step of any objective, as a pure function of state and batch.

key = fold(key, step);   prepared <- objective.prepare(key, policies, batch)
gradient = mean over microbatches of d objective.loss(policies, part) / d params
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mugv_jax.axes import Array
from mugv_jax.train.objective import POLICY, Batch, Metrics, Objective, Policies, constrain_batch
from mugv_jax.train.state import Params, TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """Training step: `step(state, batch) -> (state, metrics)`.

    policies: (trained parameters by name, state) -> the networks' variables by name.
    optimizer, schedule: for `state.params`; `objective.optimizers` holds those of other policies.
    ema_decay: decay of the running average; None without EMA.
    """

    objective: Objective
    policies: Callable[[Mapping[str, Any], TrainState], Policies]
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    ema_decay: float | None = None

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        trained = {POLICY: state.params}
        trained |= {name: state.extra[name] for name in self.objective.optimizers}
        policies = self.policies(trained, state)
        prepared = self.objective.prepare(key, policies, batch)
        loss, metrics, grads = self._gradient(state, trained, prepared)
        return self._guarded_update(state, loss, metrics, grads)

    def _gradient(
        self, state: TrainState, trained: Mapping[str, Any], prepared: Any
    ) -> tuple[Array, Metrics, Mapping[str, Any]]:
        """(loss, metrics, gradients), averaged over the microbatches."""

        def of_part(part: Any) -> tuple[Array, Metrics, Mapping[str, Any]]:
            return self.objective.gradient(
                lambda trained: self.policies(trained, state), trained, part
            )

        microbatches = self.objective.microbatches
        if microbatches.count == 1:
            return of_part(prepared)

        def add(total: Any, part: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, of_part(constrain_batch(part))), None

        parts = microbatches.split(prepared)
        first = jax.tree.map(lambda x: x[0], parts)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(of_part, first))
        total, _ = jax.lax.scan(add, zeros, parts)
        return jax.tree.map(lambda x: x * (1.0 / microbatches.count), total)

    def _guarded_update(
        self, state: TrainState, loss: Array, metrics: Metrics, grads: Mapping[str, Any]
    ) -> tuple[TrainState, Metrics]:
        """State and metrics after the update of the networks that have gradients.

        A non-finite loss or gradient skips the update.
        """
        norms = {name: optax.tree.norm(each) for name, each in grads.items()}
        finite = jnp.isfinite(jnp.stack([loss, *norms.values()])).all()
        params, opt, ema = state.params, state.opt, state.ema
        extra, shown = dict(state.extra), {}
        if POLICY in grads:
            params, opt, size = _updated(self.optimizer, grads[POLICY], opt, params)
            ema = self._averaged(state, params)
            shown = {"grad_norm": norms[POLICY], "update_norm": size}
        for name, optimizer in self.objective.optimizers.items():
            if name not in grads:
                continue
            extra[name], extra[f"{name}_opt"], _ = _updated(
                optimizer, grads[name], extra[f"{name}_opt"], extra[name]
            )
        copies = [name for name in self.objective.copies if name in grads]
        shown |= {f"{name}_grad_norm": norms[name] for name in copies}
        new = state.replace(params=params, opt=opt, ema=ema, extra=extra)
        after = jax.tree.map(
            lambda new, old: old if new is old else jnp.where(finite, new, old), new, state
        )
        after = after.replace(
            step=state.step + 1, skipped=state.skipped + 1 - finite.astype(jnp.int32)
        )
        taken = self.objective.updates(state.step - state.skipped)
        return after, metrics | shown | {
            "loss": loss,
            "param_norm": optax.tree.norm(after.params),
            "learning_rate": jnp.asarray(self.schedule(taken), jnp.float32),
            "skipped": after.skipped,
        }

    def _averaged(self, state: TrainState, params: Params) -> Params | None:
        if state.ema is None or self.ema_decay is None:
            return state.ema
        # A smaller decay over the first steps, so that the initial weights do not dominate.
        count = self.objective.updates(state.step - state.skipped).astype(jnp.float32)
        decay = jnp.minimum(self.ema_decay, (1 + count) / (10 + count))
        return jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), state.ema, params)


def _updated(
    optimizer: optax.GradientTransformation, grads: Any, opt: optax.OptState, params: Params
) -> tuple[Params, optax.OptState, Array]:
    """(parameters, optimizer state, norm of the update)."""
    updates, opt = optimizer.update(grads, opt, params)
    return optax.apply_updates(params, updates), opt, optax.tree.norm(updates)
