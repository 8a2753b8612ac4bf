# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch of clean samples to what a network is trained on: tasks, times, noise, captions."""

from collections.abc import Mapping
from typing import Any

import einops
import flax.struct
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.flow.path import frame_times, interpolate
from mugv_jax.train.loss import LossConfig, draw_times
from mugv_jax.train.objective import Batch, constrain_batch
from mugv_jax.train.tasks import TASKS, TaskConfig, draw

NULL_TEXT = "null_text"  # name of a `NullText` among the policies


class NullText(flax.struct.PyTreeNode):
    """What stands for a dropped caption: float states (s l) and bool mask (s) of one caption.

    Arrays of either library, or their shapes where only a program is compiled.
    """

    text: Any
    text_mask: Any


class Noised(flax.struct.PyTreeNode):
    """Samples on the path, ready for the network; before it, perhaps, an axis of microbatches.

    t: time of every frame in [0, 1].  weight: of each sample in the loss.
    condition: what the network reads beside latent and time.
    """

    x_t: Float[Array, "*k b f h w c"]
    t: Float[Array, "*k b f"]
    target: Float[Array, "*k b f h w c"]
    noisy: Bool[Array, "*k b f"]
    task: Int[Array, "*k b"]
    weight: Float[Array, "*k b"]
    condition: Any = None


def draw_noised(
    key: Array,
    batch: Batch,
    null: NullText,
    tasks: TaskConfig,
    loss: LossConfig,
) -> tuple[Noised, dict[str, Array]]:
    """(noised latents, batch with some captions dropped), drawn alike on any mesh."""
    task_key, time_key, noise_key = jax.random.split(key, 3)
    x_0 = constrained_latent(batch)
    samples, *latent_shape = x_0.shape[:4]
    drawn = draw(task_key, samples, latent_shape[0], tasks)
    t = frame_times(draw_times(time_key, samples, tuple(latent_shape), loss), drawn.noisy)
    noise = constrain_batch(jax.random.normal(noise_key, x_0.shape))
    part = noised(x_0, noise, t, noisy=drawn.noisy, task=drawn.task, loss=loss)
    text, text_mask = drop_captions(batch, drawn.dropped, null)
    return part, dict(batch, text=text, text_mask=text_mask)


def noised(
    x_0: Float[Array, "b f h w c"],
    noise: Float[Array, "b f h w c"],
    t: Float[Array, "b f"],
    *,
    noisy: Bool[Array, "b f"],
    task: Int[Array, "b"],
    loss: LossConfig,
) -> Noised:
    """Samples at the times `t` in [0, 1] of their frames."""
    x_t, target = interpolate(x_0, noise, t)
    weight = loss.image_weight if x_0.shape[1] == 1 else 1.0
    weight = jnp.full(x_0.shape[:1], weight)
    return Noised(x_t=x_t, t=t, target=target, noisy=noisy, task=task, weight=weight)


def constrained_latent(batch: Batch, name: str = "latent") -> Float[Array, "b f h w c"]:
    """A latent of the batch in float32, split over the data shards."""
    return constrain_batch(batch[name].astype(jnp.float32))


def drop_captions(
    batch: Mapping[str, Array], dropped: Bool[Array, "b"], null: NullText
) -> tuple[Float[Array, "b s l"], Bool[Array, "b s"]]:
    """(text, mask), with the null caption where `dropped`."""
    row = einops.rearrange(dropped, "b -> b 1")
    text = jnp.where(row[..., None], null.text.astype(batch["text"].dtype)[None], batch["text"])
    return text, jnp.where(row, null.text_mask[None], batch["text_mask"])


def task_sums(loss: Float[Array, "b"], task: Int[Array, "b"]) -> dict[str, Array]:
    """Summed loss and number of samples of every task."""
    one_hot = jax.nn.one_hot(task, len(TASKS))
    return {"task_loss": loss @ one_hot, "task_count": jnp.sum(one_hot, axis=0)}


def fixed_noise(sample: Int[Array, "b"], shape: tuple[int, ...]) -> Float[Array, "b f h w c"]:
    """Standard normal noise, a function of each sample's number."""
    base = jax.random.key(0)
    return jax.vmap(lambda i: jax.random.normal(jax.random.fold_in(base, i), shape))(sample)
