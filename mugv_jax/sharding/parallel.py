# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Parallelism of a model: the `mesh` group of a config, and the DiT built for a mesh.

| axis     | splits                                        | what travels between its devices     |
| -------- | --------------------------------------------- | ------------------------------------ |
| data     | the batch                                     | gradients, once a step               |
| fsdp     | the batch, and every weight                   | each layer's weights and gradients   |
| sequence | video tokens (and every weight, as fsdp does) | q, k, v and out, or k and v; weights |
| tensor   | heads and MLP; video tokens between these     | activations before and after each    |
| pipeline | layers                                        | activations between stages           |
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Mesh
from jax.typing import DTypeLike

from mugv_jax.bounds import require_at_least
from mugv_jax.kernels.select import KernelConfig, check_attention
from mugv_jax.nn.dit.sizes import DiTSizes
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.modulation import MeshModulation
from mugv_jax.sharding.pipeline import Pipeline
from mugv_jax.sharding.sequence import METHODS, JointMeshAttention, MeshAttention


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """Sizes of the mesh's axes; `data=None` takes all devices that the other axes leave.

    sequence_method: how self-attention is split over "sequence", see `sharding/sequence.py`.
    microbatches: parts of a batch that follow each other through the pipeline's stages.

    Raises:
        ValueError: sizes below 1, an unknown method, or microbatches without a pipeline.
    """

    data: int | None = None
    fsdp: int = 1
    sequence: int = 1
    tensor: int = 1
    pipeline: int = 1
    sequence_method: str = "auto"
    microbatches: int = 1

    def __post_init__(self):
        require_at_least(1, self, "fsdp", "sequence", "tensor", "pipeline", "microbatches")
        if self.data is not None and self.data < 1:
            raise ValueError(
                f"data={self.data} must be at least 1, or None for all devices that are left."
            )
        if self.sequence_method not in METHODS:
            raise ValueError(
                f"sequence_method={self.sequence_method!r} must be one of {', '.join(METHODS)}."
            )
        if self.microbatches > 1 and self.pipeline == 1:
            raise ValueError(
                f"microbatches={self.microbatches} follow each other through a pipeline, but "
                "pipeline=1: set microbatches=1, or accumulate gradients instead."
            )

    def sizes(self, devices: int) -> dict[str, int]:
        """Size of every axis on `devices` devices.

        Raises:
            ValueError: axes that do not use all of the devices, or need more.
        """
        inner = math.prod((self.fsdp, self.sequence, self.tensor, self.pipeline))
        text = ", ".join(f"{axis}={getattr(self, axis)}" for axis in meshes.AXES)
        data = max(1, devices // inner) if self.data is None else self.data
        if data * inner != devices:
            raise ValueError(
                f"a mesh of {text} needs {'a multiple of ' if self.data is None else ''}"
                f"{inner * (self.data or 1)} devices, but there are {devices}: choose axes whose "
                "product is the number of devices, or leave data=None."
            )
        return {axis: getattr(self, axis) for axis in meshes.AXES} | {"data": data}

    def make_mesh(self, devices: Sequence[jax.Device] | None = None) -> Mesh:
        """The mesh over all devices (of all processes), or over those given.

        Raises:
            ValueError: see `sizes` and `mesh.make_mesh`.
        """
        count = jax.device_count() if devices is None else len(devices)
        return meshes.make_mesh(self.sizes(count), devices=devices)


def build_dit(
    config: DiTSizes,
    mesh: Mesh,
    parallel: ParallelConfig | None = None,
    *,
    module: type[Any],
    dtype: DTypeLike,
    remat: str = "none",
    kernels: KernelConfig | None = None,
) -> nn.Module:
    """Build the DiT for `mesh`; all settings but the axes' sizes come from `parallel`.

    config: sizes of `module`.
    module: class with the fields of `nn.mugdit.model.MugDiT`, of which `pipeline` may be missing,
        and the attribute `joint_attention`.
    kernels: implementations in place of the platform's defaults.

    Raises:
        ValueError: a model that the mesh cannot split.
    """
    parallel, kernels = parallel or ParallelConfig(), kernels or KernelConfig()
    check_attention(kernels.attention, dtype, mesh.devices.flat[0].platform)
    sizes = mesh.shape
    if config.num_heads % sizes["tensor"]:
        raise ValueError(
            f"num_heads={config.num_heads} does not divide over tensor={sizes['tensor']}: choose "
            "a tensor that divides it, and sequence for the other devices."
        )
    attends = JointMeshAttention if module.joint_attention else MeshAttention
    attention = attends(mesh, parallel.sequence_method, kernels.attention)
    attention.exchanged(config.num_heads)  # raises if the method is impossible
    built = module(
        config,
        dtype,
        attend=attention,
        modulate=MeshModulation(kernels.modulation, mesh=mesh),
        token_multiple=sizes["sequence"] * sizes["tensor"],
        remat=remat,
    )
    stages = sizes["pipeline"]
    return built if stages == 1 else _in_stages(built, stages, parallel.microbatches)


def _in_stages(module: nn.Module, stages: int, microbatches: int) -> nn.Module:
    """`module` with its blocks split into stages of a pipeline."""
    if not hasattr(module, "pipeline"):
        raise ValueError(
            f"pipeline={stages}: {type(module).__name__} does not run in stages. Set pipeline=1, "
            "and use fsdp, sequence or tensor instead."
        )
    if module.config.depth % stages:
        raise ValueError(
            f"depth={module.config.depth} does not divide into pipeline={stages} stages: choose a "
            "pipeline that divides it."
        )
    return module.clone(pipeline=Pipeline(stages, microbatches))


def check_batch(batch: int, mesh: Mesh, parallel: ParallelConfig) -> None:
    """Check that a batch divides evenly over the data shards and their microbatches.

    Raises:
        ValueError: a batch that does not divide.
    """
    sizes = mesh.shape
    parts = sizes["data"] * sizes["fsdp"] * parallel.microbatches
    if batch % parts:
        raise ValueError(
            f"a batch of {batch} does not divide over data={sizes['data']} x "
            f"fsdp={sizes['fsdp']} x microbatches={parallel.microbatches}: choose a multiple of "
            f"{parts}."
        )
