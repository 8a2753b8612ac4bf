# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A denoiser: one diffusion network as samplers and trainers see it.

    x_t = (1 - t) x_0 + t noise,   v = velocity(variables, x_t, t, condition)  ~  x_0 - noise

The sign of a network's output, its unit of time and the names of its inputs are known to its
denoiser alone; everything else speaks of x_t, of t in [0, 1] and of a condition.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import flax.linen as nn
from jax.sharding import Mesh
from jax.typing import DTypeLike

from mugv_jax.axes import Array, Float

# What a network reads beside latent and time: a tree of arrays with a leading batch axis.
Condition = TypeVar("Condition")
Variables = Any  # a tree of arrays, as Flax modules take it
LatentShape = tuple[int, int, int]  # (f, h, w)


@dataclasses.dataclass(frozen=True)
class Denoiser(abc.ABC, Generic[Condition]):
    """The network `dit`. Denoisers of equal modules are equal, so that nothing compiles twice."""

    dit: nn.Module

    @abc.abstractmethod
    def velocity(
        self,
        variables: Variables,
        x: Float[Array, "b f h w c"],
        t: Float[Array, "b f"],
        condition: Condition,
    ) -> Float[Array, "b f h w c"]:
        """Estimate of x_0 - noise at `x`.

        t: time of every frame in [0, 1]: 1 is pure noise, 0 a given (clean) frame.
        condition: raw, or as `read` returns it.
        """

    @abc.abstractmethod
    def condition(self, batch: Mapping[str, Array]) -> Condition:
        """The condition of a training batch, from its fields."""

    def read(self, variables: Variables, condition: Condition) -> Condition:
        """The condition with everything that the network computes from it alone.

        A sampler calls it once for all steps. Here it returns the condition as it is.
        """
        del variables
        return condition

    def first_input(
        self,
        variables: Variables,
        x: Float[Array, "b f h w c"],
        t: Float[Array, "b f"],
        condition: Condition,
    ) -> Float[Array, "b n d"]:
        """What the network's first block reads, 0 in given frames; `flow/reuse.py` watches it.

        Raises:
            ValueError: the network has no such cheap beginning.
        """
        del variables, x, t, condition
        raise ValueError(
            f"{type(self.dit).__name__} cannot reuse steps: its first input depends on the text. "
            "Set the reuse threshold to 0."
        )

    @abc.abstractmethod
    def abstract_condition(
        self,
        mesh: Mesh,
        *,
        rows: int,
        latent_shape: LatentShape,
        text_tokens: int,
        dtype: DTypeLike,
    ) -> Condition:
        """Shapes and places of a condition as `read` returns it, for compiling ahead of time.

        dtype: arithmetic's.
        """
