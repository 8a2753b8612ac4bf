# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The choice of implementations: the only module of the library that asks for the platform."""

import dataclasses
import functools
import importlib
import logging
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

ATTENTIONS = ("cudnn", "hopper", "splash", "tpu", "xla")
MODULATIONS = ("xla", "triton", "tpu")
# Compute capability by device kind, of the GPUs that programs are compiled for ahead of time
# (`compile/gpu_target.py`): there is no driver to ask.
COMPUTE_CAPABILITIES = {"NVIDIA H100 80GB HBM3": 90, "NVIDIA H200": 90}
# Components of a head for which "hopper" was faster than cuDNN when measured (docs/benchmarks.md).
HOPPER_HEADS = (72,)

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelConfig:
    """Implementations that replace the platform's defaults; None keeps the default.

    attention: "cudnn", "hopper", "splash", "tpu" or "xla", see `kernels/attention.py`.
    modulation: "xla" (anywhere), "triton" (NVIDIA GPUs) or "tpu", see `kernels/modulate.py`.

    Raises:
        ValueError: unknown implementation.
    """

    attention: str | None = None
    modulation: str | None = None

    def __post_init__(self):
        check("attention", self.attention, ATTENTIONS)
        check("modulation", self.modulation, MODULATIONS)


def check(field: str, implementation: str | None, known: Sequence[str]) -> None:
    """Raise a ValueError unless `implementation` is None or one of `known`."""
    if implementation is not None and implementation not in known:
        raise ValueError(
            f"{field}={implementation!r} must be one of {', '.join(known)}, or None to choose by "
            "platform."
        )


def check_attention(implementation: str | None, dtype: DTypeLike, where: str) -> None:
    """Refuse an attention that cannot run, before anything is loaded.

    where: platform of the devices, as `platform` names it.

    Raises:
        ValueError: "cudnn" without an NVIDIA GPU or in 32 bits, or "hopper" in another type than
            bfloat16.
    """
    dtype = jnp.dtype(dtype)
    if implementation == "cudnn" and where != "gpu":
        raise ValueError(
            f"attention='cudnn' needs an NVIDIA GPU, and this runs on a {where}: leave it out to "
            "choose by platform."
        )
    if implementation == "cudnn" and dtype.itemsize != 2:
        raise ValueError(f"attention='cudnn' takes 16-bit types, not {dtype}: choose bfloat16.")
    if implementation == "hopper" and dtype != jnp.bfloat16:
        raise ValueError(f"attention='hopper' takes bfloat16, not {dtype}: choose that, or 'xla'.")


def platform() -> str:
    """Platform of the current mesh, or else of the default device: "cpu", "gpu" or "tpu".

    The devices of a mesh need not exist on this machine: programs are compiled ahead of time too.
    """
    default = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue] - added
    device = jax.sharding.get_abstract_mesh().abstract_device or default
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform


def compute_capability() -> int | None:
    """Compute capability of the current mesh's GPUs, such as 90 for 9.0.

    None means that the kind of GPU is not known here, and the driver has to be asked.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    return None if device is None else COMPUTE_CAPABILITIES.get(device.device_kind)


def is_hopper() -> bool:
    """Whether programs are for NVIDIA GPUs of compute capability 9.0: H100 and H200."""
    if platform() != "gpu":
        return False
    known = compute_capability()
    if known is None:
        return getattr(jax.devices()[0], "compute_capability", None) == "9.0"
    return known == 90


def attention(dtype: DTypeLike, head_dim: int) -> str:
    """Default attention for inputs of `dtype`: cuDNN takes 16-bit types only."""
    chosen = blocked_attention(dtype, head_dim)
    sixteen_bit = jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16)
    if chosen == "xla" and platform() == "gpu" and sixteen_bit:
        return "cudnn"
    return chosen


def blocked_attention(dtype: DTypeLike, head_dim: int) -> str:
    """Default attention where partial results are merged, which cuDNN's derivative cannot do."""
    if platform() == "tpu":
        return "tpu"
    measured = jnp.dtype(dtype) == jnp.bfloat16 and head_dim in HOPPER_HEADS
    return "hopper" if measured and is_hopper() else "xla"


def modulation() -> str:
    """Default modulation: kernels on a TPU, and on a GPU with jax-triton installed; else XLA."""
    where = platform()
    if where == "gpu":
        return _gpu_modulation()
    return "tpu" if where == "tpu" else "xla"


@functools.cache  # so that the line is logged once
def _gpu_modulation() -> str:
    """Default modulation on a GPU, with a warning if it is not that of the kernels."""
    try:
        importlib.import_module("jax_triton")
    except ImportError as error:
        logger.warning(
            "jax-triton cannot be imported (%s): XLA computes norms, gates and rotations, which "
            "takes more memory. To use the kernels: pip install 'mugv_jax[triton]'.",
            " ".join(str(error).split()),
        )
        return "xla"
    return "triton"
