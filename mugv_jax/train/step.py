# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One step of training, as a pure function of state and batch.

key = fold(key, step);   tasks, times, noise <- key
x_t = (1 - t) x_0 + t noise,   loss = mean over samples of w |v(x_t, t) - (x_0 - noise)|^2
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import einops
import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.flow.path import MODEL_TIME, frame_times, interpolate
from mugv_jax.train.loss import LossConfig, draw_times, velocity_loss
from mugv_jax.train.state import TrainState
from mugv_jax.train.tasks import TASKS, TaskConfig, draw

Batch = Mapping[str, Array]
# (trained, frozen, x_t, t in [0, 1000], condition) -> velocity
Velocity = Callable[[Any, Any, Array, Array, Mapping[str, Array]], Array]


class NullText(flax.struct.PyTreeNode):
    """What stands for a dropped caption: float states (s l) and bool mask (s) of one caption.

    Arrays of either library, or their shapes where only a program is compiled.
    """

    text: Any
    text_mask: Any


class Noised(flax.struct.PyTreeNode):
    """A batch, ready for the network; before it, perhaps, an axis of microbatches."""

    x_t: Float[Array, "*k b f h w c"]
    t: Float[Array, "*k b f"]
    target: Float[Array, "*k b f h w c"]
    noisy: Bool[Array, "*k b f"]
    task: Int[Array, "*k b"]
    weight: Float[Array, "*k b"]
    condition: dict[str, Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """`step(state, batch, null) -> (state, metrics)`.

    accumulate: microbatches of one step, whose gradients are averaged.
    shards: parts in which the batch lies on the mesh; microbatches are taken of every part.
    ema_decay: of the running average; None where there is none.
    """

    velocity: Velocity
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    tasks: TaskConfig
    loss: LossConfig
    accumulate: int = 1
    shards: int = 1
    ema_decay: float | None = None

    def __call__(
        self, state: TrainState, batch: Batch, null: NullText
    ) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        noised = prepare(key, batch, null, self.tasks, self.loss)
        loss, sums, grads = self._gradient(state, noised)
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
        new, update_norm = updated(state, grads, self.optimizer, self.ema_decay)
        # A step whose numbers broke leaves everything as it was.
        state = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
        taken = state.step - state.skipped
        state = state.replace(
            step=state.step + 1, skipped=state.skipped + 1 - finite.astype(jnp.int32)
        )
        metrics = {
            "loss": loss,
            "grad_norm": grad_norm,
            "param_norm": optax.tree.norm(state.params),
            "update_norm": update_norm,
            "learning_rate": jnp.asarray(self.schedule(taken), jnp.float32),
            "skipped": state.skipped,
            **sums,
        }
        return state, metrics

    def _gradient(self, state: TrainState, noised: Noised) -> tuple[Array, dict[str, Array], Any]:
        """(loss, sums, gradient), averaged over the microbatches."""

        def loss_of(params: Any, part: Noised) -> tuple[Array, dict[str, Array]]:
            v = self.velocity(params, state.frozen, part.x_t, part.t, part.condition)
            loss = velocity_loss(v, part.target, part.noisy)
            return jnp.mean(loss * part.weight), task_sums(loss, part.task)

        gradient = jax.value_and_grad(loss_of, has_aux=True)
        if self.accumulate == 1:
            (loss, sums), grads = gradient(state.params, noised)
            return loss, sums, grads

        def add(total: Any, part: Noised) -> tuple[Any, None]:
            part = jax.tree.map(constrain_batch, part)
            return jax.tree.map(jnp.add, total, gradient(state.params, part)), None

        parts = jax.tree.map(self._microbatches, noised)
        first = jax.tree.map(lambda x: x[0], parts)
        zeros = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype),
            jax.eval_shape(gradient, state.params, first),
        )
        ((loss, sums), grads), _ = jax.lax.scan(add, zeros, parts)
        mean = 1.0 / self.accumulate
        return loss * mean, sums, jax.tree.map(lambda x: x * mean, grads)

    def _microbatches(self, x: Array) -> Array:
        """Rows of every shard in every microbatch, so that none has to move."""
        return einops.rearrange(x, "(s k m) ... -> k (s m) ...", s=self.shards, k=self.accumulate)


def updated(
    state: TrainState,
    grads: Any,
    optimizer: optax.GradientTransformation,
    ema_decay: float | None,
) -> tuple[TrainState, Array]:
    """(`state` with params, optimizer state and average of the next step, norm of the update)."""
    updates, opt = optimizer.update(grads, state.opt, state.params)
    params = optax.apply_updates(state.params, updates)
    ema = state.ema
    if ema is not None:
        # Early on the average is short, or it would be of the initial weights.
        count = (state.step - state.skipped).astype(jnp.float32)
        decay = jnp.minimum(ema_decay, (1 + count) / (10 + count))
        ema = jax.tree.map(lambda old, new: old + (1 - decay) * (new - old), ema, params)
    return state.replace(params=params, opt=opt, ema=ema), optax.tree.norm(updates)


def prepare(
    key: Array, batch: Batch, null: NullText, tasks: TaskConfig, loss: LossConfig
) -> Noised:
    """Draws tasks, times and noise of a whole batch: the same on any mesh."""
    task_key, time_key, noise_key = jax.random.split(key, 3)
    x_0 = constrain_batch(batch["latent"].astype(jnp.float32))
    samples, *latent_shape = x_0.shape[:4]
    drawn = draw(task_key, samples, latent_shape[0], tasks)
    t = frame_times(draw_times(time_key, samples, tuple(latent_shape), loss), drawn.noisy)
    noise = constrain_batch(jax.random.normal(noise_key, x_0.shape))
    text, text_mask = drop_captions(batch, drawn.dropped, null)
    return noised(
        x_0, noise, t, noisy=drawn.noisy, task=drawn.task, loss=loss,
        condition=dict(batch, text=text, text_mask=text_mask),
    )  # fmt: skip


def noised(
    x_0: Float[Array, "b f h w c"],
    noise: Float[Array, "b f h w c"],
    t: Float[Array, "b f"],
    *,
    noisy: Bool[Array, "b f"],
    task: Int[Array, "b"],
    condition: Mapping[str, Array],
    loss: LossConfig,
) -> Noised:
    """Samples at the times `t` in [0, 1] of their frames."""
    x_t, target = interpolate(x_0, noise, t)
    weight = loss.image_weight if x_0.shape[1] == 1 else 1.0
    return Noised(
        x_t=x_t,
        t=t * MODEL_TIME,
        target=target,
        noisy=noisy,
        task=task,
        weight=jnp.full(x_0.shape[:1], weight),
        condition={name: condition[name] for name in CONDITION},
    )


CONDITION = ("text", "text_mask", "fps", "frame_index")


def drop_captions(
    batch: Batch, dropped: Bool[Array, "b"], null: NullText
) -> tuple[Float[Array, "b s l"], Bool[Array, "b s"]]:
    """(text, mask), with the null caption where `dropped`."""
    row = einops.rearrange(dropped, "b -> b 1")
    text = jnp.where(row[..., None], null.text.astype(batch["text"].dtype)[None], batch["text"])
    return text, jnp.where(row, null.text_mask[None], batch["text_mask"])


def task_sums(loss: Float[Array, "b"], task: Int[Array, "b"]) -> dict[str, Array]:
    """Summed loss and number of samples of every task."""
    one_hot = jax.nn.one_hot(task, len(TASKS))
    return {"task_loss": loss @ one_hot, "task_count": jnp.sum(one_hot, axis=0)}


def constrain_batch(x: Array) -> Array:
    """Rows over the data shards of the current mesh."""
    return nn.with_logical_constraint(x, ("batch", *[None] * (x.ndim - 1)))
