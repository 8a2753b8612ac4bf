# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmark suites: the cases of each, and the modules that define the tasks of a case.

Each module has `tasks(name, setting)`, a generator of tasks to measure, or of rows that it has
already measured.
"""

from collections.abc import Sequence

SUITES = {
    "kernels": (
        "norm-modulate",
        "gate-residual",
        "gate-residual-norm-modulate",
        "norm-rotate",
        "self-attention",
        "cross-attention",
    ),
    "block": ("block",),
    "forward": ("text-encoder", "dit-slice", "dit"),
    "train": ("train-step",),
    "vae": ("vae-encode", "vae-decode"),
    "startup": ("compile", "weights"),
}
MODULES = {
    "modulation": SUITES["kernels"][:4],
    "attention": SUITES["kernels"][4:],
    "block": ("block",),
    "text": ("text-encoder",),
    "dit": ("dit-slice", "dit"),
    "train": ("train-step",),
    "vae": SUITES["vae"],
    "startup": SUITES["startup"],
}
CASES = {case: module for module, cases in MODULES.items() for case in cases}


def process_groups(names: Sequence[str]) -> list[list[str]]:
    """Names grouped by process: kernels share one, as their peak memory is not reported."""
    kernels = [name for name in names if name in SUITES["kernels"]]
    others = [[name] for name in names if name not in kernels]
    return [kernels, *others] if kernels else others
