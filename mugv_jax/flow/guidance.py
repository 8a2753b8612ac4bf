# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Classifier-free guidance (arXiv:2207.12598) and its rescaled form (arXiv:2305.08891)."""

import dataclasses

import jax.numpy as jnp

from mugv_jax.axes import Latent

MAX_SCALE = 1000  # far above what any model takes, and below what overflows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guidance:
    """Strength of guidance, and the steps that use it.

    scale: 1 turns guidance off (one forward a step instead of two).
    rescale: in [0, 1]; share by which the guided velocity's spread is reduced to the conditional.
    interval: (low, high) of t in [0, 1]; outside of it guidance is off.
    skip_steps: indices of steps without guidance.
    together: run both forwards as one batch (faster on small videos, twice the activations).

    Raises:
        ValueError: a field outside its range.
    """

    scale: float = 4.0
    rescale: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)
    skip_steps: tuple[int, ...] = ()
    together: bool = False

    def __post_init__(self):
        if not 0 <= self.scale <= MAX_SCALE:
            raise ValueError(
                f"guidance scale={self.scale} must be a number from 0 up to {MAX_SCALE}; 1 turns "
                "guidance off."
            )
        if not 0 <= self.rescale <= 1:
            raise ValueError(f"guidance rescale={self.rescale} must lie in [0, 1]; 0 turns it off.")
        low, high = self.interval
        if not 0 <= low <= high <= 1:
            raise ValueError(
                f"guidance interval={low},{high} must be LOW,HIGH with 0 <= LOW <= HIGH <= 1: "
                "times of the path, 1 is pure noise."
            )

    def is_on(self, step: int, t: float) -> bool:
        """Whether step number `step` at time t in [0, 1] is guided."""
        low, high = self.interval
        return self.scale != 1 and step not in self.skip_steps and low <= t <= high


def guide(positive: Latent, negative: Latent, guidance: Guidance) -> Latent:
    """v = v_neg + scale (v_pos - v_neg), rescaled to the spread of v_pos by `rescale`."""
    v = negative + guidance.scale * (positive - negative)
    if guidance.rescale:
        axes = (1, 2, 3, 4)
        ratio = jnp.std(positive, axis=axes, keepdims=True) / jnp.std(v, axis=axes, keepdims=True)
        v = v * (guidance.rescale * ratio + (1 - guidance.rescale))
    return v
