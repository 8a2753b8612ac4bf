# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Compare the speed of mugv_jax with PyTorch, from the root of the repository.

    python -m tools.benchmark --suite NAME [--cases NAME ...] [--output FILE.json]
    python -m tools.benchmark --gpu-hour [--minutes 55] [--output FOLDER]

Both sides compute the same mathematics from the same values. The ceilings of the device are
measured first, and outputs are checked before anything is timed. Prints a table and writes JSON
with versions, device, sizes and every sample. `--gpu-hour` measures what is most worth knowing of a
GPU first, see `tools/benchmarks/gpu_hour.py`.
"""

import argparse
import dataclasses
import datetime
import json
import pathlib
import signal
import sys

import torch

from tools.benchmarks import gpu_hour, measure, report, run
from tools.benchmarks.setting import Options
from tools.benchmarks.sizes import DEFAULT_SIZE, SIZES
from tools.benchmarks.suites import CASES, SUITES, process_groups

SHORTER = {"dit": "dit-slice"}
DEFAULT_DTYPE = {"cpu": "float32", "cuda": "bfloat16"}


def parse(arguments: list[str] | None = None) -> tuple[argparse.Namespace, Options]:
    """Parse the command line: what to run, and how."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--suite", choices=SUITES, help="one group of cases; default: all")
    parser.add_argument(
        "--cases", nargs="+", choices=CASES, metavar="NAME", help=f"some of {', '.join(CASES)}"
    )
    parser.add_argument(
        "--size", choices=SIZES, help="size of the computations; default: small on a CPU, else full"
    )
    parser.add_argument(
        "--repeats", type=int, default=9, help="samples of every variant; long ones get fewer"
    )
    parser.add_argument("--device", choices=DEFAULT_SIZE, help="default: cuda if there is one")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: by device")
    parser.add_argument(
        "--variants", nargs="+", metavar="NAME", help="measure only these, by name in the table"
    )
    parser.add_argument(
        "--torch-compile",
        action=argparse.BooleanOptionalAction,
        help="also measure compiled PyTorch; default: on a GPU",
    )
    parser.add_argument(
        "--profile", metavar="FOLDER", help="trace our variants into it (for XProf, Perfetto)"
    )
    parser.add_argument(
        "--gpu-hour", action="store_true", help="measure what is most worth knowing of a GPU first"
    )
    parser.add_argument("--minutes", type=float, default=55, help="for --gpu-hour, all in all")
    output = "JSON file, of --gpu-hour a folder [benchmark.json, gpu_hour]"
    parser.add_argument("--output", type=pathlib.Path, help=output)
    args = parser.parse_args(arguments)
    if args.output is None:
        args.output = pathlib.Path("gpu_hour" if args.gpu_hour else "benchmark.json")
    if args.gpu_hour and (args.suite or args.cases or args.variants):
        parser.error("--gpu-hour has its own suites: leave --suite, --cases and --variants out.")
    if not args.minutes > 0:
        parser.error(f"--minutes {args.minutes} must be above 0.")
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats} must be at least 1.")
    args.cases = _cases(args, parser)
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    compiled = device == "cuda" if args.torch_compile is None else args.torch_compile
    return args, Options(
        device=device,
        dtype=args.dtype or DEFAULT_DTYPE[device],
        size=args.size or DEFAULT_SIZE[device],
        repeats=args.repeats,
        torch_compile=compiled,
        variants=None if args.variants is None else tuple(args.variants),
        profile=args.profile,
    )


def _cases(args: argparse.Namespace, parser: argparse.ArgumentParser) -> list[str]:
    """Names of the requested cases."""
    known = list(CASES) if args.suite is None else list(SUITES[args.suite])
    foreign = set(args.cases or ()) - set(known)
    if foreign:
        parser.error(
            f"--cases {' '.join(sorted(foreign))}: suite {args.suite} has {', '.join(known)}."
        )
    return args.cases or known


def _economical(name: str, options: Options, rows: list[report.Row]) -> Options:
    """The options, with only PyTorch's best variant where a shorter case has already found it."""
    shorter = [row for row in rows if row["task"] == SHORTER.get(name) and "ratio" in row]
    if options.variants is not None or not shorter:
        return options
    best = shorter[0]["best_pytorch"]["variant"]
    kept = (row["variant"] for row in shorter if row["ours"])
    return dataclasses.replace(options, variants=(*kept, best))


def main(arguments: list[str] | None = None) -> int:
    args, options = parse(arguments)
    if args.gpu_hour:
        # No part is left running on the device when the hour itself is ended.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        print("\n".join(gpu_hour.run(options, args.output, args.minutes)))
        return 0
    ceilings = run.measured_ceilings(options)
    print(report.ceilings_text(ceilings) + "\n", flush=True)
    result = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "options": vars(options),
        "ceilings": ceilings,
        "rows": [],
    }
    for names in process_groups(args.cases):
        if measure.stopped():
            break
        shown = ", ".join(names)
        print(f"{shown}: {options.size}, {options.dtype} on {options.device}", file=sys.stderr)
        for row in run.case_rows(names, _economical(names[0], options, result["rows"])):
            result["rows"].append(row)
            report.complete(result["rows"], ceilings)
            args.output.write_text(json.dumps(result, indent=1) + "\n")
    print(report.table(result["rows"]))
    if measure.stopped():
        return 128 + signal.SIGTERM
    return 1 if any("failed" in row for row in result["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main())
