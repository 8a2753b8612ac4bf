# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""MUGDiT in the forms that the sampler calls, and the conditions that it passes on."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from mugv_jax.axes import Array
from mugv_jax.nn.mugdit.first_input import FirstInput
from mugv_jax.nn.mugdit.model import MugDiT
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.mugdit.text import KeysValues, TextReader
from mugv_jax.sharding.place import batch_sharding


@functools.partial(jax.jit, static_argnums=0)
def read_text(dit: MugDiT, variables: Any, condition: dict[str, Any]) -> dict[str, Any]:
    """`condition` with what the network makes of its text, which is the same in every step."""
    condition = dict(condition)
    states, mask = condition.pop("text"), condition.pop("text_mask")
    return condition | {"text": TextReader(dit.config, dit.dtype).apply(variables, states, mask)}


@dataclasses.dataclass(frozen=True)
class DiTVelocity:
    """MUGDiT in the form the sampler calls; equal modules compare equal, so nothing recompiles."""

    dit: MugDiT

    def __call__(self, variables: Any, x: Array, t: Array, condition: dict[str, Any]) -> Array:
        condition = dict(condition)
        return self.dit.apply(variables, x, t, condition.pop("text"), **condition)


@dataclasses.dataclass(frozen=True)
class DiTFirstInput:
    """What MUGDiT's first block reads, in the form `flow/reuse.py` calls."""

    dit: MugDiT

    def __call__(self, variables: Any, x: Array, t: Array, condition: dict[str, Any]) -> Array:
        module = FirstInput(self.dit.config, self.dit.dtype)
        return module.apply(variables, x, t, condition["fps"])


def abstract_condition(
    config: DiTConfig, mesh: Mesh, *, rows: int, frames: int, text_tokens: int, dtype: DTypeLike
) -> dict[str, Any]:
    """Shapes and places of what `read_text` returns for latents of `frames` frames."""
    batch = batch_sharding(mesh, rows)
    heads = None if config.num_heads % mesh.shape["tensor"] else "tensor"
    of_batch = functools.partial(jax.ShapeDtypeStruct, sharding=batch)
    of_heads = NamedSharding(mesh, PartitionSpec(*batch.spec, None, None, heads, None))
    shape = (rows, config.depth, text_tokens, config.num_heads, config.head_dim)
    cached = jax.ShapeDtypeStruct(shape, dtype, sharding=of_heads)
    return {
        "text": KeysValues(keys=cached, values=cached, lengths=of_batch((rows,), jnp.int32)),
        "fps": of_batch((rows,), jnp.float32),
        "frame_index": of_batch((rows, frames + 2), jnp.int32),
    }
