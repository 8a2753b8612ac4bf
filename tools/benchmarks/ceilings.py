# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Measured ceilings of the device: the rate of copying memory, and of one large matrix product.

Both frameworks are measured, and the faster one counts. Values are random: zeros draw less power,
so that the clock would stay higher than with the data of any model.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch

from mugv_jax.cost.chips import peak_of
from tools.benchmarks.exchange import to_jax
from tools.benchmarks.sizes import Size

SAMPLES = 9
CALLS = 5  # per sample, started together


def measure_ceilings(device: torch.device, dtype: torch.dtype, size: Size) -> dict[str, Any]:
    """GB/s of a copy, TFLOP/s of a product in `dtype`, and the data sheet's bfloat16 peak if known.

    A copy counts both the bytes that it reads and those that it writes.
    """
    source = torch.randn(size.copy_bytes // 2, device=device, dtype=torch.float32).to(dtype)
    target, source_jax = torch.empty_like(source), to_jax(source)
    copied = 2 * source.numel() * source.element_size()
    # Negation moves as many bytes as a copy, but the compiler cannot elide it.
    negate = jax.jit(jnp.negative)
    copy = {
        "PyTorch": copied / _seconds(lambda: target.copy_(source), device) / 1e9,
        "JAX": copied / _seconds(lambda: negate(source_jax), device) / 1e9,
    }
    del source, target, source_jax

    a, b = (torch.randn(2, size.product, size.product, device=device).to(dtype)).unbind()
    out, a_jax, b_jax = torch.empty_like(a), to_jax(a), to_jax(b)
    matmul = jax.jit(jnp.matmul)
    product = {
        "PyTorch": _seconds(lambda: torch.matmul(a, b, out=out), device),
        "JAX": _seconds(lambda: matmul(a_jax, b_jax), device),
    }
    product = {name: 2 * size.product**3 / value / 1e12 for name, value in product.items()}
    peak = peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return {
        "GB/s": max(copy.values()),
        "TFLOP/s": max(product.values()),
        "datasheet TFLOP/s": None if peak is None or dtype != torch.bfloat16 else peak / 1e12,
        "copy": {"bytes": copied, "GB/s": copy},
        "product": {"side": size.product, "TFLOP/s": product},
    }


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Median time of a call in seconds, over samples of several calls in a row."""
    samples = []
    for _ in range(SAMPLES + 1):  # the first compiles
        start = time.perf_counter()
        for _ in range(CALLS):
            out = call()
        if isinstance(out, jax.Array):
            out.block_until_ready()
        elif device.type == "cuda":
            torch.cuda.synchronize(device)
        samples.append((time.perf_counter() - start) / CALLS)
    return statistics.median(samples[1:])
