# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What this package computes for golden cases, beside the published numbers."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from mugv_jax.golden import mugv, wan_contentv
from mugv_jax.golden.cases import Case, Outputs, RecipeSource, build, read_case, recipe
from mugv_jax.weights.check import check, variable_shapes
from mugv_jax.weights.parameters import published_shapes
from mugv_jax.weights.registry import MODELS

__all__ = ["KINDS", "Case", "Row", "build", "compare", "read_case", "recipe", "run"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One output of one case. `note` says why there is no number, where there is none."""

    case: str
    output: str
    max_abs: float
    relative_l2: float
    passed: bool
    note: str = ""


def _manifest(case: Case) -> Outputs:
    """Names and shapes as two equal lists of numbers, or an error that names the differences."""
    model = MODELS[case.spec["model"]]
    config = model.config_from_published(case.spec["config"])
    listed = {name: tuple(shape) for name, shape in case.spec["tensors"].items()}
    check(RecipeSource(case.path, listed), model, config)
    mapped = published_shapes(model.table(config), variable_shapes(model, config))
    if set(mapped) != set(listed):
        raise ValueError(f"names differ: {sorted(set(mapped) ^ set(listed))}.")
    sizes = [[np.prod(shapes[n], dtype=float) for n in listed] for shapes in (mapped, listed)]
    return {f"{len(listed)} names": (np.array(sizes[0]), np.array(sizes[1]))}


KINDS: dict[str, Callable[[Case], Outputs]] = {
    "mugv_dit": mugv.dit,
    "mugv_sampler": mugv.sampler,
    "mugv_loss": mugv.loss,
    "mugv_vae": mugv.vae,
    "t5_encoder": mugv.text,
    "umt5_encoder": mugv.text,
    "clip_text": wan_contentv.clip_text,
    "contentv_dit": wan_contentv.mmdit,
    "wan_enhancer_dit": wan_contentv.wan_dit,
    "wan_vae": wan_contentv.wan_vae,
    "schedules": wan_contentv.schedules,
    "manifest": _manifest,
}


def run(folder: Path, dtype: DTypeLike, tolerance: float) -> Iterator[Row]:
    """One row per output of every case in `folder`, as they are computed.

    A case that cannot be run is a failed row with a note, and the rest goes on.

    Raises:
        ValueError: a folder without cases.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ValueError(f"{folder} holds no golden cases (NAME.json with NAME.npz).")
    for path in paths:
        try:
            case = read_case(path, dtype)
            kind = case.spec["kind"]
            if not isinstance(kind, str) or kind not in KINDS:
                raise ValueError(f"kind {kind!r} is not one of {', '.join(KINDS)}.")
            with jax.default_matmul_precision("highest"):
                outputs = KINDS[kind](case)
        except Exception as error:  # a case's numbers may be wrong in any way
            named = "" if type(error) is ValueError else f"{type(error).__name__}: "
            note = " ".join(f"{named}{error}".split())
            yield Row(path.stem, "-", np.nan, np.nan, passed=False, note=note)
            continue
        for name, (ours, reference) in outputs.items():
            yield compare(path.stem, name, ours, reference, tolerance)


def compare(case: str, output: str, ours: ArrayLike, reference: ArrayLike, tolerance: float) -> Row:
    """max |ours - reference| and ||ours - reference|| / ||reference||; NaN never passes."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    if ours.shape != reference.shape:
        note = f"shape {ours.shape}, must be {reference.shape}"
        return Row(case, output, np.nan, np.nan, passed=False, note=note)
    difference = ours - reference
    relative = float(np.linalg.norm(difference) / max(np.linalg.norm(reference), 1e-30))
    return Row(case, output, float(np.max(np.abs(difference))), relative, relative <= tolerance)
