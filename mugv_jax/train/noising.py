# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Noising of a training batch: interpolation to drawn times, and captions dropped."""

from collections.abc import Mapping
from typing import Any

import einops
import flax.struct
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.flow.path import interpolate
from mugv_jax.flow.renoise import NoiseKeys
from mugv_jax.train.objective import Batch, constrain_batch
from mugv_jax.train.tasks import TASKS

NULL_TEXT = "null_text"  # name of a `NullText` among the policies


class NullText(flax.struct.PyTreeNode):
    """Text features that replace a dropped caption: float states (s l) and bool mask (s).

    NumPy or JAX arrays, or only their shapes when a program is compiled ahead of time.
    """

    text: Any
    text_mask: Any


class Draws(flax.struct.PyTreeNode):
    """Random draws for each sample of a batch.

    task: index into TASKS.  noisy: frames to predict.
    t: time of every frame in [0, 1], 0 for given frames.
    """

    task: Int[Array, "b"]
    noisy: Bool[Array, "b f"]
    t: Float[Array, "b f"]
    noise: Float[Array, "b f h w c"]


class Noised(flax.struct.PyTreeNode):
    """Noisy samples and target velocities, optionally with a leading microbatch axis."""

    x_t: Float[Array, "*k b f h w c"]
    t: Float[Array, "*k b f"]
    target: Float[Array, "*k b f h w c"]
    noisy: Bool[Array, "*k b f"]


def noised(x_0: Float[Array, "b f h w c"], draws: Draws) -> Noised:
    """Samples interpolated to their drawn times, and the target velocity."""
    x_t, target = interpolate(x_0, draws.noise, draws.t)
    return Noised(x_t=x_t, t=draws.t, target=target, noisy=draws.noisy)


def constrained_latent(batch: Batch, name: str = "latent") -> Float[Array, "b f h w c"]:
    """A latent field of the batch in float32, sharded over the data shards."""
    return constrain_batch(batch[name].astype(jnp.float32))


def drop_captions(
    batch: Mapping[str, Array], dropped: Bool[Array, "b"], null: NullText
) -> tuple[Float[Array, "b s l"], Bool[Array, "b s"]]:
    """(text, mask) with the null caption in place of dropped ones."""
    row = einops.rearrange(dropped, "b -> b 1")
    text = jnp.where(row[..., None], null.text.astype(batch["text"].dtype)[None], batch["text"])
    return text, jnp.where(row, null.text_mask[None], batch["text_mask"])


def task_sums(loss: Float[Array, "b"], task: Int[Array, "b"]) -> dict[str, Array]:
    """Summed loss and number of samples of every task."""
    one_hot = jax.nn.one_hot(task, len(TASKS))
    return {"task_loss": loss @ one_hot, "task_count": jnp.sum(one_hot, axis=0)}


def sample_keys(sample: Int[Array, "b"]) -> NoiseKeys:
    """Keys of noise that depend only on each sample's index."""
    base = jax.random.key(0)
    return jax.random.key_data(jax.vmap(lambda i: jax.random.fold_in(base, i))(sample))


def fixed_noise(sample: Int[Array, "b"], shape: tuple[int, ...]) -> Float[Array, "b f h w c"]:
    """Standard normal noise that depends only on each sample's index."""
    keys = jax.random.wrap_key_data(sample_keys(sample))
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
