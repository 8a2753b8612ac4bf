# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Compare the speed of mugv_jax with PyTorch, from the root of the repository.

    python -m tools.benchmark [--cases NAME ...] [--repeats N] [--output FILE.json]

Both sides compute the same mathematics from the same values; outputs are compared before anything
is timed. Prints a table and writes JSON with versions, device, sizes and every sample.
"""

import argparse
import datetime
import json
import math
import pathlib
import sys
from typing import Any

import torch

from tools.benchmarks.cases import CASES, DEFAULT_CASES
from tools.benchmarks.run import Options, run_apart

COLUMNS = (
    "case",
    "ours ms",
    "PyTorch ms",
    "ratio",
    "spread",
    "TFLOP/s",
    "peak GiB",
    "first call s",
)
DEFAULT_DTYPE = {"cpu": "float32", "cuda": "bfloat16"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, metavar="NAME", help=f"of {', '.join(CASES)}"
    )
    parser.add_argument("--repeats", type=int, default=9, help="timed pairs of every case")
    parser.add_argument("--device", choices=DEFAULT_CASES, help="default: cuda if there is one")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: by device")
    parser.add_argument("--torch-compile", action="store_true", help="compile the PyTorch side")
    parser.add_argument("--output", type=pathlib.Path, default="benchmark.json", help="JSON file")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats} must be at least 1.")
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    args.dtype = args.dtype or DEFAULT_DTYPE[args.device]
    args.cases = args.cases or DEFAULT_CASES[args.device]
    return args


def row(name: str, result: dict[str, Any]) -> list[str]:
    """What the table shows of a case; pairs are ours / PyTorch."""
    if "failed" in result:
        return [name, result["failed"]]

    def pair(form: str, key: str, unit: float = 1.0) -> str:
        values = (result[side][key] for side in ("ours", "pytorch"))
        shown = ("-" if v is None else format(v / unit, form) for v in values)
        return " / ".join(shown)

    digits = max(0, 2 - math.floor(math.log10(result["ours"]["median_s"] * 1e3)))
    return [
        name,
        f"{result['ours']['median_s'] * 1e3:.{digits}f}",
        f"{result['pytorch']['median_s'] * 1e3:.{digits}f}",
        f"{result['ratio']:.2f}",
        "-" if result["cpu_ratio"] is None else f"{result['cpu_ratio']:.2f}",
        pair(".1%", "spread"),
        pair(".3g", "tflops"),
        pair(".1f", "peak_bytes", 2**30),
        pair(".1f", "first_call_s"),
    ]


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown, one row a case."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(row(name, result)) + " |" for name, result in results.items()]
    return "\n".join(lines)


def main() -> int:
    args = arguments()
    options = Options(
        device=args.device,
        dtype=args.dtype,
        repeats=args.repeats,
        torch_compile=args.torch_compile,
    )
    report = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "options": vars(options),
        "cases": {},
    }
    for name in args.cases:
        print(f"{name}: {args.repeats} pairs, {args.dtype} on {args.device}", file=sys.stderr)
        report["cases"][name] = run_apart(name, options)
        args.output.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report["cases"]))
    return 1 if any("failed" in result for result in report["cases"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
