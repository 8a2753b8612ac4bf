# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sampling of the model during training, from captions of held-out clips."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.schedule import sample_times
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.sampling import Start, sample_group
from mugv_jax.train.noising import NULL_TEXT, drop_captions, fixed_noise
from mugv_jax.train.objective import POLICY
from mugv_jax.train.program import Program
from mugv_jax.train.state import TrainState


def sample_latent(
    program: Program, state: TrainState, batch: Mapping[str, Array]
) -> Float[Array, "b f h w c"]:
    """Latents sampled for the captions in `batch`, from noise fixed by each sample's index."""
    log, objective = program.config.log, program.objective
    policies, shape = program.averaged(state), batch["latent"].shape
    text, mask = drop_captions(batch, jnp.ones(shape[:1], bool), policies[NULL_TEXT])
    negative = objective.denoiser.condition(dict(batch, text=text, text_mask=mask))
    return sample_group(
        objective.denoiser,
        policies[POLICY],
        program.mesh,
        Start.from_noise(fixed_noise(batch["sample"], shape[1:])),
        times=sample_times(log.sample_steps, objective.shift(shape[1:4])),
        positive=objective.denoiser.condition(batch),
        negative=negative if log.guidance != 1 else None,
        guidance=Guidance(scale=log.guidance),
    ).x


def as_frames(latent: Float[np.ndarray, "f h w c"], vae: tuple[Any, Any] | None) -> np.ndarray:
    """uint8 frames (f h w 3) of a latent: decoded by `vae`, or else its first three channels.

    vae: (module, variables). Only every eighth decoded frame is returned, since the eight frames of
        a latent frame look alike.
    """
    if vae is None:
        picture = 0.5 + np.asarray(latent[..., :3], np.float32) / 6  # +-3 standard deviations
        picture = picture.repeat(4, axis=1).repeat(4, axis=2)
    else:
        picture = 0.5 + windows.decode(*vae, jnp.asarray(latent)[None])[0, 7::8] / 2
    return np.clip(np.round(picture * 255), 0, 255).astype(np.uint8)
