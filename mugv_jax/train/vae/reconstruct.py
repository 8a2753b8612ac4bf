# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""VAE reconstruction of clips in training: frames encoded in groups, latents decoded in windows.

    8 k frames      k latents, one for every 8 frames
    8 k + 1 frames  k + 1 latents, the first one of the first frame repeated 8 times

The layout is that of generation (`systems/mugv/windows.py`), but all windows are decoded at once,
differentiably, and windows may have any length.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import einops
import jax.numpy as jnp

from mugv_jax.axes import Array, Latent, Pixels
from mugv_jax.nn.vae.autoencoder import Features, VideoVAE
from mugv_jax.nn.vae.tiny import AnyDecoder

Variables = Mapping[str, Any]


class Posterior(NamedTuple):
    """Posterior of the latents of clips, before normalisation by the latent statistics."""

    mean: Latent
    log_variance: Latent

    def sample(self, noise: Latent) -> Latent:
        """Sample mean + std * noise, for standard normal `noise`."""
        return self.mean + jnp.exp(0.5 * self.log_variance) * noise


def repeats(vae: AnyDecoder, frames: int) -> int:
    """Number of copies of the first frame that are prepended to a clip."""
    factor = vae.config.time_factor
    return factor - 1 if frames % factor == 1 else 0


def apply(vae: AnyDecoder, variables: Variables, x: Array, method: str) -> Any:
    """Output of a method of the VAE."""
    return vae.apply(variables, x, method=method)


def encode(vae: VideoVAE, variables: Variables, pixels: Pixels) -> Posterior:
    """Posterior of all latents of clips."""
    return posterior(vae, variables, apply(vae, variables, pixels, "encode_features"))


def posterior(vae: VideoVAE, variables: Variables, features: Features) -> Posterior:
    """Posterior of all latents, from the spatial features of clips."""
    first = jnp.repeat(features[:, :1], repeats(vae, features.shape[1]), axis=1)
    features = jnp.concatenate([first, features], axis=1)
    return Posterior(*apply(vae, variables, features, "encode_moments"))


def decode_features(
    vae: AnyDecoder,
    variables: Variables,
    latent: Latent,
    frames: int,
    window: int,
) -> Features:
    """Features of `frames` frames, decoded in windows of `window` latents.

    The last window may be shorter. A latent of the repeated first frame is decoded on its own, as
    in generation, and only the last of its frames is kept.
    """
    lead, decode = repeats(vae, frames), functools.partial(_decode, vae, variables)
    if not lead:
        return decode(latent, window)
    first = decode(latent[:, :1], window)[:, lead:]
    if latent.shape[1] == 1:
        return first
    return jnp.concatenate([first, decode(latent[:, 1:], window)], axis=1)


def _decode(vae: AnyDecoder, variables: Variables, latent: Latent, window: int) -> Features:
    window = min(window, latent.shape[1])
    whole = latent.shape[1] // window * window
    decode = functools.partial(apply, vae, variables, method="decode_features")
    folded = einops.rearrange(latent[:, :whole], "b (g w) h x c -> (b g) w h x c", w=window)
    features = decode(folded)
    features = einops.rearrange(features, "(b g) f h x c -> b (g f) h x c", b=len(latent))
    if whole < latent.shape[1]:
        features = jnp.concatenate([features, decode(latent[:, whole:])], axis=1)
    return features
