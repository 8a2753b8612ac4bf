# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pipeline parallelism over the scanned layer axis: GPipe (arXiv:1811.06965) as one program.

The layers are cut into S stages, one per device of the mesh axis "pipeline", and the batch into M
microbatches. An array with a leading axis of stages, split over the devices, holds the input of
each stage; in every tick all stages run at once, and the array is rolled by one, which moves each
microbatch to the next stage:

    tick t:  stage s has microbatch t - s,    0 <= t < M + S - 1

Each stage idles for S - 1 of the M + S - 1 ticks (it computes values that nobody reads). The lost
share of the time, (S - 1) / (M + S - 1), is the "bubble".
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float
from mugv_jax.nn.mugdit.block import RESIDUAL, Context


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """Pipeline of `stages` over the mesh axis "pipeline", with `microbatches` per batch."""

    stages: int
    microbatches: int

    @property
    def bubble(self) -> float:
        """Share of the time in which a stage idles."""
        return (self.stages - 1) / (self.microbatches + self.stages - 1)

    def __call__(
        self,
        run: Callable[[Any, Array, Context], Array],
        variables: Any,
        x: Float[Array, "b n d"],
        context: Context,
    ) -> Float[Array, "b n d"]:
        """Result of `run(variables, x, context)`, computed stage by stage.

        variables: leaves have a leading axis of all layers; `run` gets the layers of one stage.
        """
        stages = jax.tree.map(
            lambda leaf: leaf.reshape(self.stages, -1, *leaf.shape[1:]), variables
        )
        x_mbnd, cut = self._cut(x), self._cut_context(context)
        stage_numbers = jnp.arange(self.stages)
        last = self.microbatches - 1

        def stage(variables: Any, x: Array, microbatch: Array) -> Array:
            # Selected by number: every device of the pipeline holds the context of all samples.
            fields = _of_microbatch(cut, microbatch)
            return run(variables, x, Context(group=context.group, **fields))

        all_stages = jax.vmap(stage, spmd_axis_name="pipeline")

        def tick(x_sbnd: Array, t: Array) -> tuple[Array, Array]:
            entering = jax.lax.dynamic_index_in_dim(x_mbnd, jnp.minimum(t, last), keepdims=False)
            x_sbnd = jnp.roll(x_sbnd, 1, axis=0).at[0].set(entering)
            x_sbnd = nn.with_logical_constraint(x_sbnd, ("layers", *RESIDUAL))
            x_sbnd = all_stages(stages, x_sbnd, jnp.clip(t - stage_numbers, 0, last))
            x_sbnd = nn.with_logical_constraint(x_sbnd, ("layers", *RESIDUAL))
            return x_sbnd, x_sbnd

        nothing = jnp.zeros((self.stages, *x_mbnd.shape[1:]), x.dtype)
        ticks = jnp.arange(self.microbatches + self.stages - 1)
        _, x_tsbnd = jax.lax.scan(tick, nothing, ticks)
        # Read from the last stage once, at the end: one transfer instead of one in every tick.
        out = einops.rearrange(x_tsbnd[self.stages - 1 :, -1], "m b n d -> (b m) n d")
        return nn.with_logical_constraint(out, RESIDUAL)

    def _cut(self, x: Array) -> Array:
        """Split off a leading axis of microbatches, each with a share of every data shard.

        Raises:
            ValueError: a batch that does not divide.
        """
        if x.shape[0] % self.microbatches:
            raise ValueError(
                f"a batch of {x.shape[0]} does not divide into microbatches={self.microbatches}: "
                "choose a batch that is a multiple, or fewer microbatches."
            )
        return einops.rearrange(x, "(b m) ... -> m b ...", m=self.microbatches)

    def _cut_context(self, context: Context) -> dict[str, Any]:
        """Fields of the context that have a batch axis, cut into microbatches."""
        fields = {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
        del fields["group"]  # has no batch axis
        return jax.tree.map(self._cut, fields)


def _of_microbatch(cut: dict[str, Any], microbatch: Array) -> dict[str, Any]:
    return jax.tree.map(
        lambda leaf: jax.lax.dynamic_index_in_dim(leaf, microbatch, keepdims=False), cut
    )
