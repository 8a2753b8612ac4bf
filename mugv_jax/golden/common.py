# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Cases that belong to no system: names and shapes of published tensors, and schedules of times."""

import re

import numpy as np

from mugv_jax.flow.path import MODEL_TIME
from mugv_jax.flow.schedule import sample_times
from mugv_jax.golden.cases import Case, Outputs, RecipeSource
from mugv_jax.weights.check import check, published_shapes

# Prefix of a schedule's name -> (shift, time to start from).
SCHEDULES = {"enh": (1.0, 0.3), "wan": (5.0, 1.0)}


def manifest(case: Case) -> Outputs:
    """Number of entries of every tensor at full size, by our tables and as published.

    Raises:
        ValueError: names or shapes that differ.
    """
    model, config = case.model("model")
    listed = {name: tuple(shape) for name, shape in case.spec["tensors"].items()}
    check(RecipeSource(case.path, listed), model, config)
    mapped = published_shapes(model, config)
    if set(mapped) != set(listed):
        raise ValueError(f"names differ: {sorted(set(mapped) ^ set(listed))}.")
    sizes = [[np.prod(shapes[n], dtype=float) for n in listed] for shapes in (mapped, listed)]
    return {f"{len(listed)} names": (np.array(sizes[0]), np.array(sizes[1]))}


def schedules(case: Case) -> Outputs:
    """Times of all steps; the name of an array holds its unit, number of steps and shift."""
    outputs = {}
    for name, reference in case.arrays.items():
        found = re.fullmatch(r"(?:(\w+)_)?(sigmas|timesteps)_(\d+)(?:_shift(\d+))?", name)
        assert found is not None, name
        model, unit, steps, shift = found.groups()
        ratio, start = (float(shift), 1.0) if shift else SCHEDULES[model]
        times = sample_times(int(steps), ratio, start)[: len(reference)]
        outputs[name] = (times * (MODEL_TIME if unit == "timesteps" else 1), reference)
    return outputs


KINDS = {"manifest": manifest, "schedules": schedules}
