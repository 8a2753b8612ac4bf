# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Time one computation in JAX and in PyTorch, in turns, after making sure that both agree."""

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
import tqdm
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from tools.benchmarks.exchange import from_jax, from_torch

# Between the two sides, so that one's threads sleep before the other's clock starts.
SETTLE_SECONDS = 0.05


class Sample(NamedTuple):
    """Seconds that passed, and seconds that all CPU threads together worked or spun."""

    wall: float
    cpu: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """One computation on both sides.

    inputs: makes fresh random arguments, for ours and for theirs, with the same values.
    ours, theirs: the computation; `layout` is the einops pattern from our output to theirs.
    tolerance: largest relative L2 difference of the outputs.
    sizes: what the report says about the case.
    """

    inputs: Callable[[], tuple[tuple, tuple]]
    ours: Callable[..., jax.Array]
    theirs: Callable[..., torch.Tensor]
    layout: str
    tolerance: float
    sizes: dict[str, Any]


def measure(comparison: Comparison, repeats: int, device: torch.device) -> dict[str, Any]:
    """Runs both sides once for agreement, then `repeats` times in turns for time.

    Raises:
        ArithmeticError: the outputs differ by more than the tolerance; nothing was timed.
    """
    sides = {
        "ours": (comparison.ours, jax.block_until_ready),
        "pytorch": (comparison.theirs, lambda _: _synchronize(device)),
    }
    args = dict(zip(sides, comparison.inputs(), strict=True))
    first = {name: _clock(*sides[name], args[name]) for name in sides}
    ours, theirs = from_jax(first["ours"][1], comparison.layout), from_torch(first["pytorch"][1])
    difference = _check(ours, theirs, comparison.tolerance)
    first_seconds = {name: sample.wall for name, (sample, _) in first.items()}
    flops = _count_flops(comparison.theirs, args["pytorch"])
    del first, args, ours, theirs

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    samples = _samples(comparison, sides, repeats)
    peaks = _peak_bytes(device)
    wall = {name: [sample.wall for sample in samples[name]] for name in sides}
    cpu = {name: [sample.cpu for sample in samples[name]] for name in sides}
    result = {
        "sizes": comparison.sizes,
        "relative_l2": difference,
        "flops": flops,
        "ratio": _ratio(wall),
        "cpu_ratio": _ratio(cpu) if device.type == "cpu" else None,
    }
    for name in sides:
        median = statistics.median(wall[name])
        result[name] = {
            "first_call_s": first_seconds[name],
            "median_s": median,
            "spread": _spread(wall[name]),
            "tflops": flops / median / 1e12,
            "peak_bytes": peaks[name],
            "samples_s": wall[name],
            "cpu_samples_s": cpu[name],
        }
    return result


def _ratio(samples: dict[str, list[float]]) -> float:
    return statistics.median(samples["ours"]) / statistics.median(samples["pytorch"])


def _samples(comparison: Comparison, sides: dict, repeats: int) -> dict[str, list[Sample]]:
    """One sample a call: ours, theirs, ours, theirs, ..., each pair on fresh inputs."""
    samples = {name: [] for name in sides}
    for _ in tqdm.trange(repeats, unit="pair", leave=False):
        args = dict(zip(sides, comparison.inputs(), strict=True))
        for name, (function, wait) in sides.items():
            gc.collect()
            time.sleep(SETTLE_SECONDS)
            samples[name].append(_clock(function, wait, args[name])[0])
    return samples


def _clock(function: Callable, wait: Callable, args: tuple) -> tuple[Sample, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    out = function(*args)
    wait(out)
    return Sample(time.perf_counter() - wall, time.process_time() - cpu), out


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _check(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> float:
    if ours.shape != theirs.shape:
        raise ArithmeticError(f"shapes differ: ours {ours.shape}, PyTorch {theirs.shape}.")
    difference = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
    if not difference <= tolerance:
        raise ArithmeticError(
            f"the outputs differ by {difference:.2e} (relative L2), more than {tolerance:.0e}: "
            "a time would mean nothing."
        )
    return difference


def _count_flops(function: Callable, args: tuple) -> int:
    """Two for every multiply-add of the matrix products and convolutions of the PyTorch side."""

    def attention(q: torch.Size, k: torch.Size, v: torch.Size, *_args, **_kwargs) -> int:
        return sdpa_flop_count(q, k, v)

    # PyTorch has a count for the fused attention of every device but the CPU.
    extra = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    with FlopCounterMode(display=False, custom_mapping=extra) as counter:
        function(*args)
    return counter.get_total_flops()


def _spread(samples: list[float]) -> float | None:
    """Half the range between the quartiles, relative to the median."""
    if len(samples) < 2:
        return None
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / 2 / middle


def _peak_bytes(device: torch.device) -> dict[str, int | None]:
    """Largest device memory held by each side, weights included; None where it is not counted."""
    if device.type != "cuda":
        return {"ours": None, "pytorch": None}
    counted_by_jax = jax.devices()[0].memory_stats() or {}
    return {
        "ours": counted_by_jax.get("peak_bytes_in_use"),
        "pytorch": torch.cuda.max_memory_allocated(device),
    }
