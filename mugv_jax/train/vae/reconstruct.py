# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A clip through the VAE as in training: frames encoded by groups, latents decoded by windows.

    8 k frames      k latents, one for every 8 frames
    8 k + 1 frames  k + 1 latents, the first of the first frame, repeated 8 times

as in generation (`systems/mugv/windows.py`), but all at once, differentiable, and with windows of
any length.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import einops
import jax.numpy as jnp

from mugv_jax.axes import Array, Latent, Pixels
from mugv_jax.nn.vae.autoencoder import Features, VideoVAE

Variables = Mapping[str, Any]


class Posterior(NamedTuple):
    """Distribution of the latents of clips, not normalised."""

    mean: Latent
    log_variance: Latent

    def sample(self, noise: Latent) -> Latent:
        """mean + deviation * noise, for standard normal noise."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise


def repeats(vae: VideoVAE, frames: int) -> int:
    """How often the first frame is repeated in front of a clip."""
    factor = vae.config.time_factor
    return factor - 1 if frames % factor == 1 else 0


def apply(vae: VideoVAE, variables: Variables, x: Array, method: str) -> Any:
    """Output of a method of the VAE."""
    return vae.apply(variables, x, method=method)


def encode(vae: VideoVAE, variables: Variables, pixels: Pixels) -> Posterior:
    """The posterior of all latents of clips."""
    return posterior(vae, variables, apply(vae, variables, pixels, "encode_features"))


def posterior(vae: VideoVAE, variables: Variables, features: Features) -> Posterior:
    """The posterior of all latents, from the features of clips."""
    first = jnp.repeat(features[:, :1], repeats(vae, features.shape[1]), axis=1)
    features = jnp.concatenate([first, features], axis=1)
    return Posterior(*apply(vae, variables, features, "encode_moments"))


def decode_features(
    vae: VideoVAE,
    variables: Variables,
    latent: Latent,
    frames: int,
    window: int,
) -> Features:
    """Features of `frames` frames, decoded by windows of `window` latents, the last maybe shorter.

    A window longer than the clip is the clip. A latent of the first frame, repeated, is decoded
    alone, as generation does, and only the last of its frames is kept.
    """
    lead, decode = repeats(vae, frames), functools.partial(_decode, vae, variables)
    if not lead:
        return decode(latent, window)
    first = decode(latent[:, :1], window)[:, lead:]
    if latent.shape[1] == 1:
        return first
    return jnp.concatenate([first, decode(latent[:, 1:], window)], axis=1)


def _decode(vae: VideoVAE, variables: Variables, latent: Latent, window: int) -> Features:
    window = min(window, latent.shape[1])
    whole = latent.shape[1] // window * window
    decode = functools.partial(apply, vae, variables, method="decode_features")
    folded = einops.rearrange(latent[:, :whole], "b (g w) h x c -> (b g) w h x c", w=window)
    features = decode(folded)
    features = einops.rearrange(features, "(b g) f h x c -> b (g f) h x c", b=len(latent))
    if whole < latent.shape[1]:
        features = jnp.concatenate([features, decode(latent[:, whole:])], axis=1)
    return features
