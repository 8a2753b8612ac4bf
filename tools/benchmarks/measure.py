# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Timing of one computation in JAX and in PyTorch, in turns, after a check of all outputs.

A task is one computation, a variant one way to do it. A variant that fails or whose outputs are
wrong becomes a row with the reason; the others are measured. After `stop`, the samples that were
taken are reported.
"""

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import torch
from torch import Tensor

# Pause between samples on a CPU, so that one side's threads sleep before the other is timed.
SETTLE_SECONDS = 0.05
# A sample is as many calls as take this long, all started before the last is awaited, so that the
# host's cost of a call is hidden behind the work of the call before it.
SAMPLE_SECONDS = 0.02
MAX_CALLS = 100
# Long calls are repeated less often, to stay within the budget, but at least this often.
FEWEST = 3
BUDGET_SECONDS = 4.0


_stopped = False


def stop(*_: Any) -> None:
    """Take no further samples in this process; a handler of signals."""
    global _stopped
    _stopped = True


def stopped() -> bool:
    """Whether `stop` was called."""
    return _stopped


class Sample(NamedTuple):
    """Times of one call: elapsed seconds, and CPU seconds (working or spinning) of all threads."""

    wall: float
    cpu: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to compute a task.

    bind: inputs -> a call without arguments. The work of `bind` itself (copies, the forward pass
        before a backward pass) is not timed.
    read: result of the call -> PyTorch tensors in the layout of the reference.
    """

    name: str
    ours: bool
    bind: Callable[[Any], Callable[[], Any]]
    read: Callable[[Any], Sequence[Tensor]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """One computation.

    inputs: makes fresh random inputs, PyTorch tensors on the device.
    check: variant -> largest relative L2 error of its outputs against float64, on fresh inputs;
        None if only `compare` checks it.
    compare: whether outputs at the timed size are compared with those of PyTorch's first variant.
    tolerance: largest error in both comparisons.
    work, unit: numerator of the rate: bytes for "GB/s", operations for "TFLOP/s".
    memory: whether the peak of device memory is reported.
    """

    name: str
    sizes: dict[str, Any]
    variants: Sequence[Variant]
    inputs: Callable[[], Any]
    check: Callable[[Variant], float | None]
    tolerance: float
    work: float
    unit: str
    compare: bool = True
    memory: bool = False


UNITS = {"GB/s": 1e9, "TFLOP/s": 1e12}


def measure(
    task: Task, repeats: int, device: torch.device, profile: Path | None = None
) -> list[dict[str, Any]]:
    """One row per variant: up to `repeats` samples of each, in turns, or the reason for none.

    profile: folder for traces of one call of each of our variants.
    """
    rows = {variant.name: _row(task, variant) for variant in task.variants}
    inputs, reference = task.inputs(), None
    # PyTorch first: its outputs are the reference for the others.
    for variant in sorted(task.variants, key=lambda variant: variant.ours):
        row = rows[variant.name]
        with _failures(row):
            if _stopped:
                raise TimeoutError("ended before it was measured")
            row["error"] = _within(task.check(variant), task.tolerance, "from float64")
            if not (task.compare or task.memory):
                continue
            out = _first_call(variant, inputs, device, row)
            if task.compare and reference is not None:
                difference = relative_l2(out, reference)
                row["difference"] = _within(difference, task.tolerance, "from PyTorch")
            elif not variant.ours:
                reference = out
        torch.cuda.empty_cache()
    del inputs, reference
    live = {
        variant.name: variant for variant in task.variants if "failed" not in rows[variant.name]
    }
    for name, samples in _samples(task, live, rows, repeats, device).items():
        untimed = {"failed": "ended before it was timed"}
        rows[name] |= _summary(samples, task) if samples else untimed
    if profile is not None and not _stopped:
        _profile(task, [variant for variant in live.values() if variant.ours], profile)
    return list(rows.values())


def _row(task: Task, variant: Variant) -> dict[str, Any]:
    return {
        "task": task.name,
        "variant": variant.name,
        "ours": variant.ours,
        "sizes": task.sizes,
        "unit": task.unit,
        "memory": task.memory,
    }


class _failures:
    """Context that records an exception in a row instead of raising it."""

    def __init__(self, row: dict[str, Any]):
        self.row = row

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> bool:
        if isinstance(error, Exception):
            self.row["failed"] = reason(error)
            return True
        return False


def reason(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:300]}"


def _within(difference: float | None, tolerance: float, what: str) -> float | None:
    if difference is not None and not difference <= tolerance:
        raise ArithmeticError(
            f"differs by {difference:.2e} (relative L2) {what}, more than {tolerance:.0e}: a time "
            "would mean nothing."
        )
    return difference


def _first_call(
    variant: Variant, inputs: Any, device: torch.device, row: dict[str, Any]
) -> list[Tensor]:
    """Outputs of the first call; adds its time and the peak of the memory to the row."""
    before = _jax_peak(device)
    call = variant.bind(inputs)
    sample, out = _clock(call, 1, variant.ours, device)
    row["first_call_s"] = sample.wall
    if variant.ours:
        after = _jax_peak(device)
        # JAX's peak is that of the whole process: only a new one is due to this variant.
        row["peak_bytes"] = after if after != before else None
    elif device.type == "cuda":
        del out
        torch.cuda.reset_peak_memory_stats(device)
        out = call()
        row["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    return list(variant.read(out))


def _jax_peak(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _samples(
    task: Task,
    live: dict[str, Variant],
    rows: dict[str, dict[str, Any]],
    repeats: int,
    device: torch.device,
) -> dict[str, list[Sample]]:
    """Samples of all variants in turns: every round runs each of them on fresh inputs."""
    samples: dict[str, list[Sample]] = {name: [] for name in live}
    calls: dict[str, int] = {}
    wanted = dict.fromkeys(live, repeats)
    while not _stopped and any(len(samples[name]) < wanted[name] for name in samples):
        inputs = task.inputs()
        gc.collect()
        for name in list(samples):
            if _stopped or len(samples[name]) >= wanted[name]:
                continue
            with _failures(rows[name]):
                call = live[name].bind(inputs)
                if device.type == "cpu":
                    time.sleep(SETTLE_SECONDS)
                sample = _clock(call, calls.get(name, 1), live[name].ours, device)[0]
                if name not in calls:
                    calls[name] = max(1, min(MAX_CALLS, round(SAMPLE_SECONDS / sample.wall)))
                    few = max(FEWEST, int(BUDGET_SECONDS / (sample.wall * calls[name])))
                    wanted[name] = min(repeats, few)
                    if calls[name] > 1:
                        continue
                samples[name].append(sample)
            if "failed" in rows[name]:
                del samples[name]
    return samples


def _clock(
    call: Callable[[], Any], times: int, ours: bool, device: torch.device
) -> tuple[Sample, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        out = call()
    if ours:
        jax.block_until_ready(out)
    elif device.type == "cuda":
        torch.cuda.synchronize(device)
    sample = Sample((time.perf_counter() - wall) / times, (time.process_time() - cpu) / times)
    return sample, out


def _summary(samples: list[Sample], task: Task) -> dict[str, Any]:
    wall = [sample.wall for sample in samples]
    median = statistics.median(wall)
    return {
        "median_s": median,
        "spread": _spread(wall),
        "value": task.work / median / UNITS[task.unit],
        "cpu_median_s": statistics.median(sample.cpu for sample in samples),
        "samples_s": wall,
    }


def _spread(samples: list[float]) -> float | None:
    """Half the interquartile range, relative to the median; None for a single sample."""
    if len(samples) < 2:
        return None
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / 2 / middle


def _profile(task: Task, variants: Sequence[Variant], folder: Path) -> None:
    inputs = task.inputs()
    for variant in variants:
        call = variant.bind(inputs)
        name = f"{task.name} {variant.name}".replace(" ", "-").replace(":", "")
        with jax.profiler.trace(str(folder / name)):
            jax.block_until_ready(call())


def relative_l2(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest relative L2 difference among the outputs.

    Raises:
        ArithmeticError: the shapes differ.
    """
    return max(_differences(actual, expected))


def _differences(actual: Sequence[Tensor], expected: Sequence[Tensor]) -> Iterator[float]:
    for a, b in zip(actual, expected, strict=True):
        if a.shape != b.shape:
            raise ArithmeticError(f"shapes differ: {tuple(a.shape)}, expected {tuple(b.shape)}.")
        a, b = a.to(b.device, torch.float64), b.double()
        yield float((a - b).norm() / b.norm())
