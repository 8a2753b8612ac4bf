# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One case in a process of its own: set up both frameworks alike, measure, return plain data."""

import concurrent.futures
import concurrent.futures.process
import dataclasses
import functools
import importlib.metadata
import multiprocessing
import os
import pathlib
import platform
from typing import Any

import jax
import torch

from tools.benchmarks.cases import CASES, Setting
from tools.benchmarks.measure import measure

PACKAGES = ("jax", "jaxlib", "flax", "torch", "transformers", "numpy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """device: "cpu" or "cuda".  dtype: "float32" or "bfloat16"."""

    device: str
    dtype: str
    repeats: int
    torch_compile: bool


def run_apart(name: str, options: Options) -> dict[str, Any]:
    """Result of a case, or {"failed": why}: no case can take the next one with it."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        try:
            return process.submit(_run, name, options).result()
        except concurrent.futures.process.BrokenProcessPool:
            return {"failed": "its process was killed (out of host memory?)"}


def _run(name: str, options: Options) -> dict[str, Any]:
    try:
        device = _set_up(options)
        dtype = getattr(torch, options.dtype)
        prepare = torch.compile if options.torch_compile else _unchanged
        comparison = CASES[name](Setting(device, dtype, prepare))
        return {**measure(comparison, options.repeats, device), "environment": environment(device)}
    except Exception as error:  # the report names it, and the next case runs
        return {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"}


def _unchanged(module: torch.nn.Module) -> torch.nn.Module:
    return module


def _set_up(options: Options) -> torch.device:
    """The same device, precision and threads on both sides; fast algorithms allowed."""
    # Two frameworks share one GPU: neither may take most of it at its start.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = "0.9"
    jax.config.update("jax_platforms", options.device)
    if options.dtype == "float32":  # and no TensorFloat-32, on either side
        jax.config.update("jax_default_matmul_precision", "highest")
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    torch.set_grad_enabled(False)
    torch.set_num_threads(threads())
    torch.manual_seed(0)
    return torch.device(options.device)


@functools.cache
def threads() -> int:
    """Processor cores that this process may use; XLA takes as many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def environment(device: torch.device) -> dict[str, Any]:
    """What a figure depends on besides the code."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": name,
        "threads": threads(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        **{package: importlib.metadata.version(package) for package in PACKAGES},
    }


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
