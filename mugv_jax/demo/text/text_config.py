# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes and training settings of the text encoder."""

import dataclasses

from mugv_jax.bounds import require_at_least
from mugv_jax.nn.text.t5 import T5Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextTrainConfig:
    """Settings of one training run of the text encoder.

    width, head_dim, num_heads, mlp_dim, depth: sizes, as in `T5Config`.
    captions: number of captions that batches are drawn from.
    length: tokens per row; longer captions are truncated.
    masked, replaced, kept: shares of the tokens that must be predicted while the encoder reads a
        mask, a random token, or the token itself.
    spelled: share of the words that are spelled in characters, as unknown words are.
    seed: seed of captions, weights, batches and masks.

    Raises:
        ValueError: values out of range.
    """

    width: int = 128
    head_dim: int = 32
    num_heads: int = 4
    mlp_dim: int = 256
    depth: int = 3
    captions: int = 32768
    length: int = 32
    batch_size: int = 32
    steps: int = 1500
    learning_rate: float = 2e-3
    masked: float = 0.2
    replaced: float = 0.03
    kept: float = 0.1
    spelled: float = 0.1
    seed: int = 0

    def __post_init__(self):
        self.encoder(1)
        require_at_least(1, self, "captions", "length", "batch_size", "steps")
        require_at_least(0, self, "seed")
        for field in ("replaced", "kept", "spelled"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)} must lie in [0, 1).")
        if not 0 < self.masked <= 1 - self.replaced - self.kept:
            raise ValueError(
                f"masked={self.masked} must be above 0, and at most 1 with replaced="
                f"{self.replaced} and kept={self.kept}."
            )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be above 0.")

    def encoder(self, vocab_size: int) -> T5Config:
        """Config of the encoder for a vocabulary of `vocab_size` ids."""
        return T5Config(
            vocab_size=vocab_size,
            width=self.width,
            head_dim=self.head_dim,
            num_heads=self.num_heads,
            mlp_dim=self.mlp_dim,
            depth=self.depth,
        )
