# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Attention on a mesh whose token axis is split: Ulysses (arXiv:2309.14509).

Between blocks every device holds a slice of the tokens; attention needs all keys. Where heads
divide over (tensor x sequence), tokens are exchanged for heads (an all-to-all each way) and every
device attends over all tokens with its own heads. Otherwise queries stay where they are and keys
and values are gathered. Either way the attention function itself runs on local arrays only.
"""

import dataclasses
import math

import jax
from jax.sharding import Mesh, PartitionSpec

from mugv_jax.axes import Array, Float, Int
from mugv_jax.kernels.attention import Attend


@dataclasses.dataclass(frozen=True)
class MeshAttention:
    """`attend` on `mesh`; batch over (data, fsdp), heads and tokens as above."""

    attend: Attend
    mesh: Mesh

    def __call__(
        self,
        q: Float[Array, "b n a e"],
        k: Float[Array, "b s a e"],
        v: Float[Array, "b s a e"],
        key_lengths: Int[Array, "b"] | None = None,
    ) -> Float[Array, "b n a e"]:
        batch = self._split(("data", "fsdp"), q.shape[0])
        tokens = self._split(("sequence",), q.shape[1])
        heads = self._split(("tensor",), q.shape[2])
        exchanged = self._split(("tensor", "sequence"), q.shape[2])
        if exchanged and q.shape[1] == k.shape[1]:
            tokens, heads = None, exchanged
        q_spec = PartitionSpec(batch, tokens, heads, None)
        k_spec = PartitionSpec(batch, None, heads, None)
        arrays = (q, k, v) if key_lengths is None else (q, k, v, key_lengths)
        specs = (q_spec, k_spec, k_spec, PartitionSpec(batch))[: len(arrays)]
        local = jax.shard_map(
            self.attend, mesh=self.mesh, in_specs=specs, out_specs=q_spec, check_vma=False
        )
        return local(*arrays)

    def _split(self, axes: tuple[str, ...], size: int) -> tuple[str, ...] | None:
        """`axes` if they divide `size` evenly, else None: not split."""
        parts = math.prod(self.mesh.shape[axis] for axis in axes)
        return axes if size % parts == 0 else None
