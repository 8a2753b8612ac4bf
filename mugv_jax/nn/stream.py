# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Layers whose weights stay in the host's memory, and reach the device one layer at a time.

A scan over layers slices their stacked weights. Where these are in host memory, the slice is copied
to the device inside the loop, so that the device holds the weights of one or two layers, and XLA
can copy those of the next layer while the current one runs.
"""

from typing import Any

import flax.linen as nn
import jax
from jax.sharding import Sharding

HOST = "pinned_host"  # memory that a device's copies reach without the processor


def streamed(block: type[nn.Module], module: nn.Module, name: str = "blocks") -> type[nn.Module]:
    """`block`, or one that copies its weights to the device, if those of `module` are not there.

    module: the bound module that scans over blocks.  name: of the scanned submodule.
    """
    held = [
        leaf
        for collection in module.variables.values()
        for leaf in jax.tree.leaves(collection.get(name, {}))
    ]
    if not any(jax.typeof(leaf).memory_space == jax.memory.Space.Host for leaf in held):
        return block
    return nn.map_variables(block, ("params", "lora"), trans_in_fn=_to_device)


def _to_device(variables: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.device_put(leaf, jax.memory.Space.Device), variables)


def in_host_memory(shardings: Any, name: str = "blocks") -> Any:
    """`shardings` of variables with those of the stacked layers in the host's memory."""

    def moved(path: tuple[Any, ...], sharding: Sharding) -> Sharding:
        keys = [getattr(key, "key", None) for key in path]
        return sharding.with_memory_kind(HOST) if name in keys else sharding

    return jax.tree_util.tree_map_with_path(moved, shardings)
