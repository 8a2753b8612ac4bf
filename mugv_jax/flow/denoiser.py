# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A denoiser: the interface of a diffusion network for samplers and trainers.

    x_t = (1 - t) x_0 + t noise,   v = velocity(variables, x_t, t, condition)  ~  x_0 - noise

Only the denoiser knows the sign of its network's output, its unit of time and its inputs. All other
code uses x_t, t in [0, 1] and a condition.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import flax.linen as nn
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float, Latent

# Inputs of a network beside latent and time: a tree of arrays with a leading batch axis.
Condition = TypeVar("Condition")
Variables = Any  # a tree of arrays, as Flax modules take it
FrameTimes = Float[Array, "b f"]
LatentShape = tuple[int, int, int]  # (f, h, w)


@dataclasses.dataclass(frozen=True)
class Denoiser(abc.ABC, Generic[Condition]):
    """Wrapper of the network `dit`; those of equal modules are equal, so nothing compiles twice.

    given_frames: whether single frames can be given; a network with one time per video cannot tell
        them from noisy ones.
    """

    given_frames: ClassVar[bool] = True

    dit: nn.Module

    @abc.abstractmethod
    def velocity(
        self, variables: Variables, x: Latent, t: FrameTimes, condition: Condition
    ) -> Latent:
        """Estimate of x_0 - noise at `x`.

        t: time of every frame in [0, 1]: 1 is pure noise, 0 a given (clean) frame.
        condition: result of `condition`, or of `read`.
        """

    @abc.abstractmethod
    def condition(self, batch: Mapping[str, Array]) -> Condition:
        """Condition of a training batch, from its fields."""

    def read(self, variables: Variables, condition: Condition) -> Condition:
        """Condition with all that the network computes from it alone, such as keys of the text.

        A sampler calls this once for all steps. The default returns the condition unchanged.
        """
        del variables
        return condition

    def first_input(
        self, variables: Variables, x: Latent, t: FrameTimes, condition: Condition
    ) -> Float[Array, "b n d"]:
        """Input of the network's first block, 0 in given frames, which `flow/reuse.py` compares.

        Raises:
            ValueError: the network's first input depends on the text.
        """
        del variables, x, t, condition
        raise ValueError(
            f"{type(self.dit).__name__} cannot reuse steps: its first input depends on the text. "
            "Set the reuse threshold to 0."
        )

    @abc.abstractmethod
    def abstract_condition(
        self, mesh: Mesh, *, rows: int, latent_shape: LatentShape, text_tokens: int
    ) -> Condition:
        """Shapes and shardings of a result of `read`, for compiling ahead of time."""
