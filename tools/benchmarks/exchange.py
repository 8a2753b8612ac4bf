# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The same values in PyTorch and in JAX: random weights, variables, arguments, outputs."""

import zlib
from collections.abc import Mapping
from typing import Any

import einops
import flax
import jax
import jax.numpy as jnp
import numpy as np
import torch

from mugv_jax.weights.table import Rule, Table


def fill(module: torch.nn.Module) -> None:
    """Random values that depend on the name: gains near 1, small biases, fan-in scaled matrices."""
    for name, tensor in module.state_dict().items():
        generator = torch.Generator(tensor.device).manual_seed(zlib.crc32(name.encode()))
        if tensor.ndim >= 2:
            tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
        else:
            gain = name.endswith("weight")
            tensor.normal_(float(gain), 0.1, generator=generator)


def variables(state: Mapping[str, torch.Tensor], table: Table) -> dict[str, Any]:
    """Variables of our module from a published `state_dict`, through the table of its model.

    One parameter at a time goes through host memory, so that the two frameworks share nothing.
    """
    flat = {}
    for rule in table.rules:
        parts = [_moved(state[name], rule, table) for name in table.names(rule)]
        flat[tuple(rule.path.split("/"))] = to_jax(torch.stack(parts) if rule.stacked else parts[0])
    return flax.traverse_util.unflatten_dict(flat)


def _moved(tensor: torch.Tensor, rule: Rule, table: Table) -> torch.Tensor:
    if not rule.axes:
        return tensor
    named = rule.axes.replace("(", " ").replace(")", " ").split()
    sizes = {axis: size for axis, size in table.sizes.items() if axis in named}
    return einops.rearrange(tensor, rule.axes, **sizes)


def to_jax(tensor: torch.Tensor, layout: str = "") -> jax.Array:
    """A copy on JAX's device; `layout` is an einops pattern."""
    tensor = einops.rearrange(tensor, layout) if layout else tensor
    tensor = tensor.detach().contiguous().cpu()
    if tensor.dtype == torch.bfloat16:
        array = tensor.view(torch.uint16).numpy().view(jnp.bfloat16)
    else:
        array = tensor.numpy()
    # A copy: on a CPU both would otherwise read the same memory, and PyTorch may reuse it.
    return jax.block_until_ready(jnp.array(array, copy=True))


def from_jax(array: jax.Array, layout: str) -> np.ndarray:
    """Float32 on the host; `layout` is an einops pattern."""
    return einops.rearrange(np.asarray(array, dtype=np.float32), layout)


def from_torch(tensor: torch.Tensor) -> np.ndarray:
    """Float32 on the host."""
    return tensor.detach().float().cpu().numpy()
