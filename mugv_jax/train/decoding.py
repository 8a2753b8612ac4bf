# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of sampled latents inside a training step, with a gradient and in bounded memory."""

import dataclasses
import functools
from typing import Any

import einops
import jax
import numpy as np

from mugv_jax.axes import Latent, Pixels
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.train.vae.reconstruct import apply, decode_features
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.registry import MODELS, abstract_variables

KIND = "mugv_vae"
VAE = "vae"  # name of the VAE's variables among the policies


@dataclasses.dataclass(frozen=True)
class Decoder:
    """MUG-V's VAE as the decoder of clips of 8 k + 1 frames, whose first latent is one frame.

    vae: the module.  path: its checkpoint; "" if only shapes are needed.
    frames: numbers of the frames that are decoded, from 0; all without any.

    Frame 0 needs the first latent only. Of other frames the features of all windows up to theirs
    are decoded as in generation, and pixels of the frames alone: those take most of the arithmetic
    and nearly all memory. Several frames are decoded one at a time, and again for the gradient.
    """

    vae: VideoVAE
    path: str
    frames: tuple[int, ...] = ()

    @classmethod
    def of(cls, path: str, sizes: Any, dtype: Any, frames: tuple[int, ...]) -> "Decoder":
        """The decoder of a checkpoint, or of a VAE of such sizes without one.

        Raises:
            ValueError: the checkpoint cannot be read or is not MUG-V's VAE, or there are neither
                path nor sizes.
        """
        if path:
            try:
                _, sizes = read_config(path, KIND)
            except ValueError as error:
                raise ValueError(f"objective.vae={path!r}: {error}") from None
        if not isinstance(sizes, MODELS[KIND].config_class):
            raise ValueError(
                f"sampled videos are decoded by MUG-V's VAE, and this system has {sizes}: set "
                "objective.vae to a checkpoint of one with the latents of the network."
            )
        return cls(MODELS[KIND].build(sizes, dtype), path, frames)

    def variables(self, *, abstract: bool) -> Any:
        """Variables in host memory, or their shapes.

        Raises:
            ValueError: variables are needed and there is no checkpoint.
        """
        if abstract:
            shapes = unboxed(abstract_variables(KIND, self.vae.config))
            return {name: shapes[name] for name in ("params", "constants")}
        if not self.path:
            raise ValueError(
                "objective.vae='' must name the checkpoint of the VAE that decodes sampled "
                "latents, such as mugv_jax/assets/demo/vae.safetensors for the demo."
            )
        return jax.device_get(load(self.path, KIND)[1])

    def frames_of(self, latents: int) -> tuple[int, ...]:
        """Numbers of the frames that are decoded of clips of `latents` latent frames.

        Raises:
            ValueError: a frame that such clips do not have.
        """
        count = self.vae.config.time_factor * (latents - 1) + 1
        for frame in self.frames:
            if not 0 <= frame < count:
                raise ValueError(
                    f"objective.decode={self.frames} has frame {frame}, but {latents} latent "
                    f"frames are frames 0 to {count - 1}: choose among these, or take longer clips."
                )
        return self.frames or tuple(range(count))

    def __call__(self, variables: Any, latent: Latent) -> Pixels:
        """Pixels, nominally in [-1, 1], of the chosen frames of normalised latents.

        Raises:
            ValueError: a frame that the clips do not have.
        """
        chosen = np.asarray(self.frames_of(latent.shape[1]))
        factor = self.vae.config.time_factor
        needed = 1 + -(-int(chosen.max()) // factor)
        whole = self.vae.config.window_latents
        needed = 1 if needed == 1 else min(1 + -(-(needed - 1) // whole) * whole, latent.shape[1])

        @functools.partial(jax.checkpoint, prevent_cse=False)
        def features(latent: Latent) -> Any:
            latent = apply(self.vae, variables, latent, "denormalize")
            return decode_features(self.vae, variables, latent, factor * (needed - 1) + 1, whole)

        def pixels(of_frame: Any) -> Any:
            return apply(self.vae, variables, of_frame[:, None], "decode_pixels")[:, 0]

        of_frames = features(latent[:, :needed])[:, chosen]
        if len(chosen) == 1:  # its gradient follows at once: computed again, it would cost as much
            return pixels(of_frames[:, 0])[:, None]
        by_frame = einops.rearrange(of_frames, "b f h w c -> f b h w c")
        each = jax.lax.map(jax.checkpoint(pixels, prevent_cse=False), by_frame)
        return einops.rearrange(each, "f b h w c -> b f h w c")
