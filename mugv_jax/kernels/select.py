# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Which implementation runs where: the only place that asks for the platform."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def platform() -> str:
    """Platform of the current mesh, else of the default device: "cpu", "gpu" or "tpu".

    A mesh may be of devices that are not there, when a program is compiled ahead of time.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device or jax.config.jax_default_device
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


def attention(dtype: DTypeLike) -> str:
    """Attention implementation for inputs of `dtype`: cuDNN takes 16-bit types only."""
    sixteen_bit = jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16)
    if platform() == "gpu" and sixteen_bit:
        return "cudnn"
    return blocked_attention()


def blocked_attention() -> str:
    """Implementation whose partial results can be merged, which cuDNN's derivative does not let."""
    return "splash" if platform() == "tpu" else "xla"
