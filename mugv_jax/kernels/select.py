# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Which implementation runs where: the only place that asks for the platform."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

ATTENTIONS = ("cudnn", "hopper", "splash", "xla")
MODULATIONS = ("xla", "triton", "tpu", "jax_triton")


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelConfig:
    """Implementations to use in place of those that the platform would choose; None chooses.

    attention: see `kernels/attention.py`.
    modulation: "xla" (anywhere), "triton" (Pallas on NVIDIA GPUs), "tpu" (Pallas on TPU),
        "jax_triton" (Triton itself on NVIDIA GPUs).

    Raises:
        ValueError: unknown implementation.
    """

    attention: str | None = None
    modulation: str | None = None

    def __post_init__(self):
        check("attention", self.attention, ATTENTIONS)
        check("modulation", self.modulation, MODULATIONS)


def check(field: str, implementation: str | None, known: Sequence[str]) -> None:
    """Raise a ValueError for an implementation that is none of those known, nor None."""
    if implementation is not None and implementation not in known:
        raise ValueError(
            f"{field}={implementation!r} must be one of {', '.join(known)}, or None to choose by "
            "platform."
        )


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


def modulation() -> str:
    """Modulation implementation; a CPU leaves it to XLA."""
    return {"gpu": "triton", "tpu": "tpu"}.get(platform(), "xla")
