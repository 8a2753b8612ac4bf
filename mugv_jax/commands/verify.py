# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax verify DIR`: errors of every golden case in a folder, one row per output."""

import argparse
import logging
import math
import sys

import jax.numpy as jnp

from mugv_jax import golden
from mugv_jax.commands.options import add_path, add_value, local_path
from mugv_jax.files import shortened
from mugv_jax.progress import above, over

log = logging.getLogger(__name__)

# The published code in float32 differs by 1e-6 to 3e-6 from a float64 evaluation.
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.set_defaults(failure="an output differs")
    cases = "folder of golden cases (NAME.json, NAME.npz)"
    add_path(parser, "dir", cases, "DIR", type=local_path)
    dtype = "dtype of weights and arithmetic"
    add_value(parser, "--dtype", "float32", dtype, choices=sorted(TOLERANCE))
    parser.add_argument("--tolerance", type=float, help="largest relative L2 error [by dtype]")


def run(args: argparse.Namespace) -> int:
    """Print the table; exit status 1 if any row failed.

    Raises:
        ValueError: a folder without golden cases, or a tolerance that is not positive.
    """
    folder = args.dir
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: give one with golden cases.")
    tolerance = TOLERANCE[args.dtype] if args.tolerance is None else args.tolerance
    if not 0 < tolerance < math.inf:
        raise ValueError(f"tolerance={tolerance} must be a positive number, such as 1e-5.")
    failed = count = 0
    sys.stdout.write(f"{'case':36}{'output':30}{'max abs':>12}{'relative L2':>14}\n")
    for row in over(golden.run(folder, jnp.dtype(args.dtype), tolerance), "cases", unit="output"):
        count += 1
        failed += not row.passed
        verdict = "pass" if row.passed else "FAIL"
        numbers, note = f"{row.max_abs:12.3e}{row.relative_l2:14.3e}", shortened(row.note, 400)
        text = f"{row.case:36}{row.output:30}{numbers}  {verdict}  {note}".rstrip()
        with above():
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        if note:
            log.error("%s cannot be compared: %s", row.case, note)
    summary = f"{failed} of {count} rows failed" if failed else f"all {count} rows passed"
    sys.stdout.write(f"{summary} (at most {tolerance:g} of relative L2 error).\n")
    return 1 if failed else 0
