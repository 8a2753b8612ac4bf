# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The residual block of which both halves of the VAE are built."""

from collections.abc import Callable

import flax.linen as nn

from mugv_jax.axes import Array, Float


class ResBlock(nn.Module):
    """y = x + conv(silu(norm(conv(silu(norm(x)))))), with a 1x1 shortcut where the width changes.

    `conv(features, name=..., window=...)` builds the convolutions: over pictures in the spatial
    half, over frames and pictures in the temporal half. `norm(name=...)` builds the norms. The
    residual stream is float32.
    """

    features: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Float[Array, "b *positions c"]) -> Float[Array, "b *positions d"]:
        y = x
        for i in (1, 2):
            norm = self.norm(name=f"norm_{i}")
            y = self.conv(self.features, name=f"conv_{i}")(nn.silu(norm(y)))
        if x.shape[-1] != self.features:
            x = self.conv(self.features, window=1, name="shortcut")(x)
        return x + y
