# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A planned run, and the exact share of a model's weights that each of its devices then holds."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import traverse_util
from jax.sharding import AbstractMesh
from jax.typing import DTypeLike

from mugv_jax.cost.memory.live import FLOAT32, LIVE, Live
from mugv_jax.kernels.flash import CPU_SCORE_BYTES, SCORE_BYTES
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.quantize import (
    SCALES,
    Rounding,
    abstract_quantized,
    check_quantize,
    quantize_of,
    quantized_paths,
)
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.weights.registry import abstract_variables

STREAMED = 2  # layers on a device whose others are in the host's memory: one runs, one arrives
HOST_LINK = 25e9  # bytes a second from the host to a GPU; PCIe 4.0 with 16 lanes has 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """Size of a video; every system has a class of its own, which checks it against its grid.

    SPATIAL, TEMPORAL: pixels a side and frames of one latent.
    FRAMES_FORM, VAE: numbers of frames, such as "4k+1", and name of the VAE in help texts.
    """

    SPATIAL: ClassVar[int]
    TEMPORAL: ClassVar[int]
    FRAMES_FORM: ClassVar[str]
    VAE: ClassVar[str]

    width_px: int
    height_px: int
    frames: int

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(f, h, w) of the latent; a first frame alone has a latent too."""
        frames = -(-self.frames // self.TEMPORAL)
        return frames, self.height_px // self.SPATIAL, self.width_px // self.SPATIAL


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A run of a pipeline: one video at a time on each group of devices that shares it.

    mesh: its devices need not exist, see `sharding.mesh.abstract_mesh`.
    platform: "cpu", "gpu" or "tpu".
    dtype: of weights and arithmetic.
    tile_px: side of the VAE's tiles; None runs whole frames.
    quantize: 8-bit weights of the transformers, a name of `nn.quantize.NAMES`, or None.
    offload: the layers of the diffusion transformer stay in the host's memory.

    Raises:
        ValueError: an unknown `quantize`.
    """

    size: Size
    mesh: AbstractMesh
    platform: str
    dtype: DTypeLike
    tile_px: int | None = None
    quantize: str | None = None
    offload: bool = False

    def __post_init__(self):
        check_quantize(self.quantize)

    @property
    def live(self) -> Live:
        """Copies that the platform keeps alive."""
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
        """Number of parts into which the mesh splits an axis of an array that lies over `axes`."""
        return math.prod(self.mesh.shape[axis] for axis in axes)

    def local(self, count: int, *axes: str) -> int:
        """Entries per device of `count` over `axes`; a count that does not divide stays whole."""
        parts = self.parts(*axes)
        return count if count % parts else count // parts


def _narrow(kind: str, config: Any, plan: Plan) -> dict[str, Rounding]:
    """Rounding of every kernel of a model that the plan holds in 8 bits, by its path."""
    return quantized_paths(abstract_variables(kind, config), quantize_of(kind, plan.quantize))


def weight_shards(kind: str, config: Any, plan: Plan) -> dict[str, int]:
    """Bytes on one device of every variable of a model, by its path."""
    abstract = abstract_quantized(
        abstract_variables(kind, config), quantize_of(kind, plan.quantize)
    )
    leaves: dict[str, Any] = traverse_util.flatten_dict(unboxed(abstract), sep="/")
    placed = variable_shardings(abstract, plan.mesh)
    shardings: dict[str, Any] = traverse_util.flatten_dict(placed, sep="/")
    narrow = _narrow(kind, config, plan)

    def itemsize(path: str) -> int:
        if path in narrow:
            return 1
        cast = path.startswith("params/") and not path.endswith(SCALES)
        return plan.itemsize if cast else FLOAT32

    return {
        path: math.prod(shardings[path].shard_shape(leaf.shape)) * itemsize(path)
        for path, leaf in leaves.items()
    }


def widened_weights(kind: str, config: Any, plan: Plan) -> float:
    """Bytes of the float32 copies of 16-bit weights, on platforms without 16-bit arithmetic."""
    if plan.itemsize == FLOAT32:
        return 0
    narrow = _narrow(kind, config, plan)
    sixteen = sum(
        size
        for path, size in weight_shards(kind, config, plan).items()
        if path not in narrow and not path.endswith(SCALES)
    )
    return plan.live.widened * sixteen * FLOAT32 / plan.itemsize


def stacked_weights(kind: str, config: Any, plan: Plan, modules: Sequence[str] = ("",)) -> int:
    """Bytes on one device of the stacked weights of all layers.

    modules: only weights whose path holds one of these are counted.
    """
    return sum(
        size
        for path, size in weight_shards(kind, config, plan).items()
        if path.startswith("params/blocks/") and any(module in path for module in modules)
    )


def streamed_weights(kind: str, config: Any, plan: Plan) -> int:
    """Bytes that every evaluation copies from the host to one device: all layers, or none."""
    streams = plan.offload and kind.endswith("_dit")
    return stacked_weights(kind, config, plan) if streams else 0


def resident_weights(kind: str, config: Any, plan: Plan) -> int:
    """Bytes of a model's weights on one device, STREAMED layers if these are streamed."""
    every = sum(weight_shards(kind, config, plan).values())
    if streamed := streamed_weights(kind, config, plan):
        every -= streamed - STREAMED * streamed // config.depth
    return every


def layer_weights(kind: str, config: Any, plan: Plan) -> float:
    """Bytes of weights that the scan over layers holds in addition to the stacks.

    Weights split over the axes of "embed" are gathered, one layer at a time, before they are used;
    8-bit ones are widened, one kernel at a time.
    """
    blocks = jax.tree.leaves(unboxed(abstract_variables(kind, config))["params"]["blocks"])
    gathered, layers = plan.parts("fsdp", "sequence"), blocks[0].shape[0]
    taken = plan.live.layer * gathered * stacked_weights(kind, config, plan) / layers
    if plan.quantize is not None:
        shards = weight_shards(kind, config, plan)
        narrow = _narrow(kind, config, plan)
        largest = max(shards[path] for path in narrow)
        taken += plan.live.unpacked * gathered * largest / layers * plan.activation_itemsize
    return taken
