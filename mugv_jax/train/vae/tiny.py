# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training objective of a tiny decoder: the pixels of the full one, for latents of real clips.

    z = normalised mean of encode(x),   y = clip(decode(z), -1, 1),   y' = tiny(z)
    L = mse |y - y'|^2 + l1 |y - y'| + perceptual P(y, y')

All terms are means over the frames of a step, which are some of every clip's. z and y are made
before the first step (`train/vae/pairs.py`). Both decoders see the same windows, as in generation.
"""

import dataclasses
import math
from typing import Any

import flax.struct
import jax.numpy as jnp
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float, Latent, Pixels
from mugv_jax.nn.quality import psnr, ssim
from mugv_jax.nn.vae.tiny import TinyDecoder
from mugv_jax.sharding.place import data_shards
from mugv_jax.train.metrics import Work
from mugv_jax.train.objective import (
    POLICY,
    Batch,
    Metrics,
    Microbatches,
    Objective,
    Policies,
    constrain_batch,
)
from mugv_jax.train.vae import loss as losses
from mugv_jax.train.vae.objective import PERCEPTUAL, to_pixels
from mugv_jax.train.vae.reconstruct import apply, decode_features
from mugv_jax.train.vae.tiny_config import TinyTrainConfig

KIND = "mugv_tiny_decoder"


class Prepared(flax.struct.PyTreeNode):
    """A prepared batch: normalised latents, and pixels y of the frames `seen` of every clip."""

    latent: Float[Array, "*k b f h w c"]
    y: Float[Array, "*k b _f _h _w 3"]
    seen: Array


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TinyObjective(Objective):
    """Objective of a tiny decoder."""

    config: TinyTrainConfig
    module: TinyDecoder

    @classmethod
    def build(cls, config: TinyTrainConfig, mesh: Mesh) -> "TinyObjective":
        """The objective of a run on `mesh`."""
        return cls(
            kind=KIND,
            sizes=config.tiny_decoder,
            module=TinyDecoder(config.tiny_decoder, jnp.dtype(config.run.dtype)),
            microbatches=Microbatches(data_shards(mesh), config.run.accumulate),
            config=config,
        )

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """The batch with pixels for frames; nothing is drawn."""
        del key, policies
        y = constrain_batch(to_pixels(batch["frames"]))
        return Prepared(latent=batch["latent"], y=y, seen=batch["seen"])

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """The loss L, and its terms as metrics."""
        config, y = self.config.loss, self._decoded(policies, part.latent, part.seen)
        metrics = {
            "mse": losses.mean_square(part.y, y),
            "l1": losses.weighted_l1(part.y, y),
            "psnr": jnp.mean(psnr(part.y, jnp.clip(y, -1, 1))),
        }
        loss = config.mse * metrics["mse"] + config.l1 * metrics["l1"]
        if PERCEPTUAL in policies:
            perceptual: Any = policies[PERCEPTUAL]
            metrics["perceptual"] = perceptual(part.y, y)
            loss = loss + config.perceptual * metrics["perceptual"]
        return loss, metrics

    def validate(self, policies: Policies, batch: Batch) -> tuple[Pixels, dict[str, Array]]:
        """(clips as decoded, PSNR and SSIM of every clip to what the full decoder makes)."""
        y = to_pixels(batch["frames"])
        again = jnp.clip(self._decoded(policies, batch["latent"], batch["seen"]), -1, 1)
        found = {"psnr": psnr(y, again), "ssim": ssim(y, again)}
        return again, {name: jnp.mean(each, axis=1) for name, each in found.items()}

    def work(self, batch: Batch) -> Work:
        """Samples of a step, with frames counted as tokens; FLOPs are not counted."""
        shape = batch["frames"].shape
        return Work(shape=shape[:4], samples=shape[0], tokens=shape[0] * shape[1], flops=None)

    def counted(self, work: Work) -> int:
        """Pixels of all frames in the loss of a step."""
        return math.prod(work.shape)

    def _decoded(self, policies: Policies, latent: Latent, seen: Array) -> Pixels:
        """Pixels of the frames `seen` (the same in all rows), in windows as in generation."""
        variables, window = policies[POLICY], self.sizes.window_latents
        frames = self.config.data.frames
        features = decode_features(self.module, variables, latent, frames, window)
        return apply(self.module, variables, features[:, seen[0]], "decode_pixels")
