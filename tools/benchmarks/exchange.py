# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Exchange of values between PyTorch and JAX: random weights, variables, arguments, outputs."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import einops
import flax
import jax
import jax.numpy as jnp
import torch

from mugv_jax.weights.table import Rule, Table


def build(
    make: Callable[[], torch.nn.Module], device: torch.device, dtype: torch.dtype
) -> torch.nn.Module:
    """Build a module with random weights directly on `device`."""
    with torch.device("meta"):
        module = make()
    module = module.to(dtype).to_empty(device=device).eval()
    fill(module)
    return module


def fill(module: torch.nn.Module) -> None:
    """Fill with random values, seeded by name: gains near 1, small biases, matrices by fan-in."""
    for name, tensor in module.state_dict().items():
        generator = torch.Generator(tensor.device).manual_seed(zlib.crc32(name.encode()))
        if tensor.ndim >= 2:
            tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
        else:
            gain = name.endswith("weight")
            tensor.normal_(float(gain), 0.1, generator=generator)


def variables(state: Mapping[str, torch.Tensor], table: Table) -> dict[str, Any]:
    """Variables of our module from a published `state_dict`, through the table of its model.

    Parameters are copied one at a time, and the frameworks share no memory.
    """
    flat = {
        tuple(rule.path.split("/")): to_jax(parameter(state, rule, table)) for rule in table.rules
    }
    return flax.traverse_util.unflatten_dict(flat)


def parameter(state: Mapping[str, torch.Tensor], rule: Rule, table: Table) -> torch.Tensor:
    """The tensors of a rule in our layout, with layers stacked."""
    parts = [_moved(state[name], rule, table) for name in table.names(rule)]
    return torch.stack(parts) if rule.stacked else parts[0]


def _moved(tensor: torch.Tensor, rule: Rule, table: Table) -> torch.Tensor:
    if not rule.axes:
        return tensor
    named = rule.axes.replace("(", " ").replace(")", " ").split()
    sizes = {axis: size for axis, size in table.sizes.items() if axis in named}
    return einops.rearrange(tensor, rule.axes, **sizes)


def to_jax(tensor: torch.Tensor, layout: str = "", **sizes: int) -> jax.Array:
    """Copy to JAX's device; `layout` is an einops pattern with `sizes` of its axes."""
    tensor = einops.rearrange(tensor, layout, **sizes) if layout else tensor
    tensor = tensor.detach().contiguous()
    if tensor.is_cuda:
        torch.cuda.synchronize()
        # A copy, because PyTorch may free or reuse its memory at any time.
        array = jnp.array(jax.dlpack.from_dlpack(tensor), copy=True)
    elif tensor.dtype == torch.bfloat16:
        array = jnp.array(tensor.view(torch.uint16).numpy().view(jnp.bfloat16), copy=True)
    else:
        array = jnp.array(tensor.numpy(), copy=True)
    return jax.block_until_ready(array)


def from_jax(array: jax.Array, layout: str = "", **sizes: int) -> torch.Tensor:
    """Copy to PyTorch's device; `layout` is an einops pattern with `sizes` of its axes."""
    tensor = torch.from_dlpack(jax.block_until_ready(array)).clone()
    if tensor.is_cuda:
        torch.cuda.synchronize()  # before JAX may reuse its memory
    return einops.rearrange(tensor, layout, **sizes) if layout else tensor
