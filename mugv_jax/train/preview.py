# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A sample of the model in training, from the caption of a held-out clip."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import sample
from mugv_jax.flow.schedule import sample_times, shift_ratio
from mugv_jax.systems.mugv import windows
from mugv_jax.train.loss import STRIDE_PX
from mugv_jax.train.program import Program
from mugv_jax.train.step import CONDITION, NullText
from mugv_jax.train.validate import fixed_noise


def sample_latent(
    program: Program,
    weights: tuple[Any, Any],
    batch: Mapping[str, Array],
    null: NullText,
) -> Float[Array, "b f h w c"]:
    """Latents of the captions in `batch`, sampled from noise that belongs to each sample.

    weights: (trained, frozen).
    """
    log = program.config.log
    shape = batch["latent"].shape
    frames, height, width = shape[1:4]
    positive = {name: batch[name] for name in CONDITION}
    negative = dict(
        positive,
        text=jnp.broadcast_to(null.text.astype(batch["text"].dtype), batch["text"].shape),
        text_mask=jnp.broadcast_to(null.text_mask, batch["text_mask"].shape),
    )
    ratio = shift_ratio(height * STRIDE_PX, width * STRIDE_PX, frames)
    ratio = ratio if program.config.loss.shift else 1.0
    return sample(
        functools.partial(_velocity, program),
        weights,
        fixed_noise(batch["sample"], shape[1:]),
        times=sample_times(log.sample_steps, ratio),
        noisy=jnp.ones(shape[:2], bool),
        positive=positive,
        negative=negative if log.guidance != 1 else None,
        guidance=Guidance(scale=log.guidance),
    ).x


def _velocity(
    program: Program, weights: tuple[Any, Any], x: Array, t: Array, condition: Any
) -> Array:
    return program.velocity(*weights, x, t, condition)


def as_frames(latent: Float[np.ndarray, "f h w c"], vae: tuple[Any, Any] | None) -> np.ndarray:
    """uint8 (f h w 3): decoded by `vae` (module, variables), else the first three channels.

    Eight frames of a latent look alike: every eighth is enough of a decoded video.
    """
    if vae is None:
        picture = 0.5 + np.asarray(latent[..., :3], np.float32) / 6  # three deviations either way
        picture = picture.repeat(4, axis=1).repeat(4, axis=2)
    else:
        picture = 0.5 + windows.decode(*vae, jnp.asarray(latent)[None])[0, 7::8] / 2
    return np.clip(np.round(picture * 255), 0, 255).astype(np.uint8)
