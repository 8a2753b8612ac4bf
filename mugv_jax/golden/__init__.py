# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Golden cases: what this package computes, compared with the published numbers.

A module here that has `KINDS`, kind of a case -> function of it, adds kinds of cases.
"""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from mugv_jax.golden.cases import Case, Outputs, build, read_case, recipe

__all__ = ["Case", "Row", "build", "compare", "kinds", "read_case", "recipe", "run"]


@dataclasses.dataclass(frozen=True)
class Row:
    """Result of one output of one case; `note` says why, where there is no number."""

    case: str
    output: str
    max_abs: float
    relative_l2: float
    passed: bool
    note: str = ""


@functools.cache
def kinds() -> Mapping[str, Callable[[Case], Outputs]]:
    """Function that computes each kind of case: the `KINDS` of all modules of this package."""
    found = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        found |= getattr(importlib.import_module(module.name), "KINDS", {})
    return found


def run(folder: Path, dtype: DTypeLike, tolerance: float) -> Iterator[Row]:
    """Results of every case in `folder`, one row per output, as they are computed.

    A case that cannot be run gives a failed row with a note, and the others still run.

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
            if not isinstance(kind, str) or kind not in kinds():
                raise ValueError(f"kind {kind!r} is not one of {', '.join(sorted(kinds()))}.")
            with jax.default_matmul_precision("highest"):
                outputs = kinds()[kind](case)
        except Exception as error:  # a case's numbers may be wrong in any way
            named = "" if type(error) is ValueError else f"{type(error).__name__}: "
            note = " ".join(f"{named}{error}".split())
            yield Row(path.stem, "-", np.nan, np.nan, passed=False, note=note)
            continue
        for name, (ours, reference) in outputs.items():
            yield compare(path.stem, name, ours, reference, tolerance)


def compare(case: str, output: str, ours: ArrayLike, reference: ArrayLike, tolerance: float) -> Row:
    """Errors max |ours - reference| and ||ours - reference|| / ||reference||; NaN never passes."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    if ours.shape != reference.shape:
        note = f"shape {ours.shape}, must be {reference.shape}"
        return Row(case, output, np.nan, np.nan, passed=False, note=note)
    difference = ours - reference
    relative = float(np.linalg.norm(difference) / max(np.linalg.norm(reference), 1e-30))
    return Row(case, output, float(np.max(np.abs(difference))), relative, relative <= tolerance)
