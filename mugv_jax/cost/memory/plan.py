# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is to run on what, and the exact share of a model's weights that each device then holds."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import AbstractMesh
from jax.typing import DTypeLike

from mugv_jax.cost.memory.live import LIVE, Live
from mugv_jax.kernels.flash import CPU_SCORE_BYTES, SCORE_BYTES
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.quantize import SCALE, abstract_quantized, quantized_dtype, quantized_paths
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.systems.mugv.size import STRIDE, VideoSize
from mugv_jax.systems.wan_size import WanSize
from mugv_jax.weights.registry import abstract_variables

FLOAT32 = 4  # bytes
MIN_TILE_PX = 8 * STRIDE  # two overlaps of the default width


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One video at a time and device group, as the pipeline runs it.

    mesh: its devices need not exist, see `sharding.mesh.abstract_mesh`.
    platform: "cpu", "gpu" or "tpu".  dtype: of weights and arithmetic.
    tile_px: side of the VAE's tiles; None runs whole frames.
    quantize: 8-bit weights of the transformers, a name of `nn.quantize.DTYPES`, or None.

    Raises:
        ValueError: tiles that are too small to overlap, or an unknown `quantize`.
    """

    size: VideoSize | WanSize
    mesh: AbstractMesh
    platform: str
    dtype: DTypeLike
    tile_px: int | None = None
    quantize: str | None = None

    def __post_init__(self):
        quantized_dtype(self.quantize)
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
    abstract = abstract_quantized(abstract_variables(kind, config), plan.quantize)
    leaves = traverse_util.flatten_dict(unboxed(abstract), sep="/")
    shardings = traverse_util.flatten_dict(variable_shardings(abstract, plan.mesh), sep="/")
    narrow = quantized_paths(abstract_variables(kind, config), plan.quantize)

    def itemsize(path: str) -> int:
        if path in narrow:
            return 1
        cast = path.startswith("params/") and not path.endswith(SCALE)
        return plan.itemsize if cast else FLOAT32

    return {
        path: math.prod(shardings[path].shard_shape(leaf.shape)) * itemsize(path)
        for path, leaf in leaves.items()
    }


def widened_weights(kind: str, config: Any, plan: Plan) -> float:
    """Bytes of the float32 copies of 16-bit weights, where there is no 16-bit arithmetic."""
    if plan.itemsize == FLOAT32:
        return 0
    narrow = quantized_paths(abstract_variables(kind, config), plan.quantize)
    sixteen = sum(
        size
        for path, size in weight_shards(kind, config, plan).items()
        if path not in narrow and not path.endswith(SCALE)
    )
    return plan.live.widened * sixteen * FLOAT32 / plan.itemsize


def stacked_weights(kind: str, config: Any, plan: Plan, modules: Sequence[str] = ("",)) -> int:
    """Bytes on one device of the weights of all layers, where the path holds one of `modules`."""
    return sum(
        size
        for path, size in weight_shards(kind, config, plan).items()
        if path.startswith("params/blocks/") and any(module in path for module in modules)
    )


def layer_weights(kind: str, config: Any, plan: Plan) -> float:
    """Bytes that the scan over layers takes of the stacked weights beside the stacks themselves.

    Weights split over the axes of "embed" are gathered, one layer at a time, before they are used;
    8-bit ones are widened, one kernel at a time.
    """
    gathered, layers = plan.parts("fsdp", "sequence"), stacked_layers(kind, config)
    taken = plan.live.layer * gathered * stacked_weights(kind, config, plan) / layers
    if plan.quantize is not None:
        shards = weight_shards(kind, config, plan)
        narrow = quantized_paths(abstract_variables(kind, config), plan.quantize)
        largest = max(shards[path] for path in narrow)
        taken += plan.live.unpacked * gathered * largest / layers * plan.activation_itemsize
    return taken


def stacked_layers(kind: str, config: Any) -> int:
    """How many layers the stacked weights of a model are of."""
    blocks = jax.tree.leaves(unboxed(abstract_variables(kind, config))["params"]["blocks"])
    return blocks[0].shape[0]
