# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is to run on what, and the exact share of a model's weights that each device then holds."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import AbstractMesh
from jax.typing import DTypeLike

from mugv_jax.kernels.flash import CPU_SCORE_BYTES, SCORE_BYTES
from mugv_jax.memory.live import LIVE, Live
from mugv_jax.nn.layers import unboxed
from mugv_jax.pipelines.size import STRIDE, VideoSize
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.weights.models import abstract_variables

FLOAT32 = 4  # bytes
MIN_TILE_PX = 8 * STRIDE  # two overlaps of the default width


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One video at a time and device group, as the pipeline runs it.

    mesh: its devices need not exist, see `sharding.mesh.abstract_mesh`.
    platform: "cpu", "gpu" or "tpu".  dtype: of weights and arithmetic.
    tile_px: side of the VAE's tiles; None runs whole frames.

    Raises:
        ValueError: tiles that are too small to overlap.
    """

    size: VideoSize
    mesh: AbstractMesh
    platform: str
    dtype: DTypeLike
    tile_px: int | None = None

    def __post_init__(self):
        if self.tile_px is not None and self.tile_px < MIN_TILE_PX:
            raise ValueError(f"vae tile={self.tile_px} must be at least {MIN_TILE_PX} pixels.")

    @property
    def live(self) -> Live:
        return LIVE[self.platform]

    @property
    def itemsize(self) -> int:
        """Bytes of a weight."""
        return jnp.dtype(self.dtype).itemsize

    @property
    def activation_itemsize(self) -> int:
        """Bytes of an entry of an activation."""
        return FLOAT32 if self.live.widened else self.itemsize

    @property
    def score_budget(self) -> int:
        """Bytes of float32 scores that attention in plain XLA holds at once."""
        return CPU_SCORE_BYTES if self.platform == "cpu" else SCORE_BYTES

    def parts(self, *axes: str) -> int:
        """Into how many parts the mesh splits what lies over `axes`."""
        return math.prod(self.mesh.shape[axis] for axis in axes)

    def local(self, count: int, *axes: str) -> int:
        """Entries per device of an axis over `axes`; one that does not divide stays whole."""
        parts = self.parts(*axes)
        return count if count % parts else count // parts


def weight_shards(kind: str, config: Any, plan: Plan) -> dict[str, int]:
    """Path -> bytes on one device, of every variable of a model."""
    abstract = abstract_variables(kind, config)
    shards = jax.tree.map(
        lambda leaf, sharding: math.prod(sharding.shard_shape(leaf.shape)),
        unboxed(abstract),
        variable_shardings(abstract, plan.mesh),
    )
    return {
        path: entries * (plan.itemsize if path.startswith("params/") else FLOAT32)
        for path, entries in traverse_util.flatten_dict(shards, sep="/").items()
    }


def stacked_weights(kind: str, config: Any, plan: Plan, module: str = "") -> int:
    """Bytes on one device of the weights of all layers, where the path holds `module`."""
    return sum(
        size
        for path, size in weight_shards(kind, config, plan).items()
        if path.startswith("params/blocks/") and module in path
    )


def layer_weights(kind: str, config: Any, plan: Plan) -> float:
    """Bytes that the scan over layers takes of the stacked weights beside the stacks themselves.

    Weights split over the axes of "embed" are gathered, one layer at a time, before they are used.
    """
    layer = stacked_weights(kind, config, plan) / config.depth
    return plan.live.layer * plan.parts("fsdp", "sequence") * layer
