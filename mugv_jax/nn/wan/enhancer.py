# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The enhancer's diffusion transformer: Wan2.1's with a second patch embedding.

If clean latents y are given, their patch embedding is added to that of x, and the tokens of frame 0
are modulated as at time 0.
"""

import flax.linen as nn
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Latent, TextStates
from mugv_jax.nn.wan.dit import WanDiT


class EnhancerDiT(WanDiT):
    """Velocity noise - x_0 of noisy latents beside clean ones; fields as in `MugDiT`."""

    @nn.compact
    def __call__(
        self, x: Latent, t: Float[Array, "b"], text: TextStates, clean: Latent | None = None
    ) -> Latent:
        """Velocity at `x`; arguments as in `WanDiT`, and

        t: time in [0, 1000] of all frames; with `clean` given, frame 0 is at time 0 instead.
        clean: latents of the video to enhance, of the same shape as `x`.
        """
        embedded = self._patch_embed(x, "patch_embed")
        if clean is not None or self.is_initializing():
            second = self._patch_embed(x if clean is None else clean, "clean_patch_embed")
            embedded = embedded + second
        time = t[:, None] if clean is None else jnp.stack([jnp.zeros_like(t), t], axis=1)
        return self._velocity(embedded, time, text, x.shape[1:4])
