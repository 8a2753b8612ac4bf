# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Setting of a case: device, dtype and size, the same on both sides."""

import dataclasses
import functools
import gc
import importlib.metadata
import os
import pathlib
import platform
from typing import Any

import jax
import jax.numpy as jnp
import torch
import torch._functorch.config as functorch

from mugv_jax.kernels.select import KernelConfig
from tools.benchmarks.sizes import SIZES, Size

PACKAGES = ("jax", "jaxlib", "flax", "torch", "triton", "jax-triton", "transformers", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Choices of the command line.

    device: "cpu" or "cuda".  dtype: "float32" or "bfloat16".  size: a key of SIZES.
    variants: measure only those; None measures all.  profile: folder for traces.
    torch_compile: also measure compiled PyTorch.
    """

    device: str
    dtype: str
    size: str
    repeats: int
    torch_compile: bool
    variants: tuple[str, ...] | None = None
    profile: str | None = None


@dataclasses.dataclass(frozen=True)
class Setting:
    """`Options` in the types of PyTorch and JAX."""

    options: Options

    @property
    def device(self) -> torch.device:
        return torch.device(self.options.device)

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.options.dtype)

    @property
    def jax_dtype(self) -> jnp.dtype:
        return jnp.dtype(self.options.dtype)

    @property
    def size(self) -> Size:
        return SIZES[self.options.size]

    @property
    def on_gpu(self) -> bool:
        return self.options.device == "cuda"

    @property
    def kernels(self) -> dict[str, KernelConfig]:
        """Kernel choices of our variants, by name: on a Hopper GPU (9.0), each attention for it."""
        hopper = self.on_gpu and torch.cuda.get_device_capability(self.device) == (9, 0)
        if not hopper or self.dtype != torch.bfloat16:
            return {"ours": KernelConfig()}
        return {f"ours: {name}": KernelConfig(attention=name) for name in ("cudnn", "hopper")}

    def random(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, device=self.device).to(self.dtype)


def set_up(options: Options) -> None:
    """Set the same device, precision and threads on both sides; allow fast algorithms."""
    # The frameworks share one GPU: neither may take most of its memory at the start.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = "0.9"
    jax.config.update("jax_platforms", options.device)
    if options.dtype == "float32":  # true float32, without TF32, on both sides
        jax.config.update("jax_default_matmul_precision", "highest")
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    # Backward passes are timed repeatedly on the residuals of one forward pass.
    functorch.donated_buffer = False
    torch.set_grad_enabled(False)
    torch.set_num_threads(threads())
    torch.manual_seed(0)
    gc.freeze()  # keeps objects of the imports out of the collections before samples


@functools.cache
def threads() -> int:
    """Number of processor cores that this process may use; XLA uses as many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def environment(device: torch.device) -> dict[str, Any]:
    """Device, threads and versions, on which a measurement depends besides the code."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": name,
        "threads": threads(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        **{package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
