# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of MUGDiT. The published ones are in `configs/`."""

import dataclasses

from mugv_jax.bounds import require_at_least


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """Sizes of the published class `MUGDiT`: `width` is its hidden_size, `patch` its patch_size.

    Raises:
        ValueError: sizes that the architecture cannot hold.
    """

    depth: int
    width: int
    num_heads: int
    in_channels: int = 24
    patch: tuple[int, int, int] = (1, 2, 2)
    text_dim: int = 4096
    mlp_ratio: float = 4.0

    def __post_init__(self):
        object.__setattr__(self, "patch", tuple(self.patch))
        require_at_least(1, self, "depth", "width", "num_heads", "in_channels", "text_dim")
        head_dim, rest = divmod(self.width, self.num_heads)
        if rest or head_dim % 6:
            raise ValueError(
                f"width={self.width} / num_heads={self.num_heads} must be a whole multiple of 6: "
                "RoPE splits each head into complex pairs over (h, w, f)."
            )
        if len(self.patch) != 3 or min(self.patch) < 1 or self.patch[0] != 1:
            raise ValueError(
                f"patch={self.patch} must be (1, h, w) with h, w >= 1: one latent frame is one "
                "group of tokens, which share their modulation."
            )

    @property
    def head_dim(self) -> int:
        return self.width // self.num_heads

    @property
    def mlp_dim(self) -> int:
        return int(self.width * self.mlp_ratio)

    @property
    def out_channels(self) -> int:
        """Channels of the velocity, and as many that nothing reads, as published."""
        return 2 * self.in_channels
