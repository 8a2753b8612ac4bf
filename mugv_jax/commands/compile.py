# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax compile`: checks if a step fits a TPU slice or GPUs, and estimates its time on TPUs."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from mugv_jax import config as configs
from mugv_jax.bounds import require_at_least
from mugv_jax.commands.model_options import add_quantize, add_video
from mugv_jax.commands.training import OVERRIDES, add_config
from mugv_jax.compile.estimate import Assumptions
from mugv_jax.compile.gpu_target import is_gpu
from mugv_jax.compile.report import Request, report
from mugv_jax.compile.samplers import read_config, sampler_of
from mugv_jax.compile.search import search
from mugv_jax.compile.steps import slice_devices
from mugv_jax.cost import flops

GIB = 2**30
DESCRIPTION = """Compile a step for a TPU slice or GPUs on a machine without them. Does it fit?
For TPUs the report also has an estimate of its time."""
EXAMPLES = """examples:
  mugv-jax compile --config mugv_10b --topology v5p:4x4x4 \\
    --config.mesh.fsdp=16 --config.mesh.sequence=4
  mugv-jax compile --config mugv_10b --topology v5p:8x8x8 --search 3
  mugv-jax compile --config mugv_10b --topology v5e:2x4 --sampler \\
    --config.mesh.tensor=8
  mugv-jax compile --config mugv_10b --topology h200:1 --sampler --quantize int8
  mugv-jax compile --config contentv_8b --topology v5p:2x2x2 --sampler \\
    --config.mesh.sequence=4 --config.mesh.tensor=2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES + OVERRIDES
    parser.set_defaults(failure="the step does not fit")
    add_config(parser, "mugv_10b")
    parser.add_argument(
        "--topology", required=True, help="TPU slice, such as v5p:4x4x4, or GPUs: h200:8"
    )
    add_video(parser, size="landscape")
    parser.add_argument(
        "--batch", type=int, help="samples of a step [one per data shard and microbatch]"
    )
    parser.add_argument(
        "--sampler", action="store_true", help="compile a guided sampling step, not training"
    )
    add_quantize(parser)
    count = "rank all meshes of the slice, and compile the COUNT most promising ones"
    parser.add_argument("--search", type=int, metavar="COUNT", help=count)
    defaults = ", ".join(f"{k}={v}" for k, v in dataclasses.asdict(Assumptions()).items())
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="NAME=SHARE",
        help=f"share of the ideal that is reached; repeatable [{defaults}]",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the report; exit status 1 if the step does not fit.

    Raises:
        ValueError: a config, slice, size, mesh or assumption that is not possible.
    """
    jax.config.update("jax_platforms", "cpu")  # leaves accelerators to other jobs
    require_at_least(1, args, "batch", "search")
    config = read_config(configs.override(configs.read(args.config), args.overrides))
    request = Request(
        config=config,
        topology=args.topology,
        size=sampler_of(config).system.parse(args.size, args.frames),
        kind="sampler" if args.sampler else "train",
        rows=args.batch,
        assumptions=_assumptions(args.assume),
        quantize=args.quantize,
    )
    if args.search is not None and args.sampler:
        raise ValueError("--search ranks meshes of training: leave out --sampler.")
    if args.search is not None and is_gpu(args.topology):
        raise ValueError("--search ranks meshes by their time, which is estimated for TPUs alone.")
    devices = slice_devices(args.topology)
    reports = search(request, devices, args.search) if args.search else [report(request, devices)]
    if args.json:
        json.dump(reports if args.search else reports[0], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n".join(line for each in reports for line in lines(each)) + "\n")
    return 0 if reports[0]["memory"]["fits"] else 1


def _assumptions(given: list[str]) -> Assumptions:
    """Assumptions from arguments such as "attention=0.7".

    Raises:
        ValueError: an unknown name, or a value that is no share.
    """
    names = [field.name for field in dataclasses.fields(Assumptions)]
    shares = {}
    for text in given:
        name, _, share = text.partition("=")
        if name not in names:
            raise ValueError(f"assumption {text!r}: write NAME=SHARE of {', '.join(names)}.")
        try:
            shares[name] = float(share)
        except ValueError as error:
            raise ValueError(f"assumption {text!r}: {share!r} is no number.") from error
    return Assumptions(**shares)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Lines of the printed report."""
    video, mesh = report["video"], report["mesh"]
    where = ", ".join(f"{axis}={size}" for axis, size in mesh.items()) or "one chip"
    yield f"{report['step']} step on {report['topology']}: {report['chips']} chips, {where}"
    if report["options"]:
        yield _row("options", ", ".join(f"{k}={v}" for k, v in report["options"].items()))
    yield _row(
        "batch",
        f"{report['samples']} x {video['width_px']}x{video['height_px']}, {video['frames']} "
        f"frames, {video['tokens']:,} tokens each",
    )
    yield from _memory_lines(report["memory"])
    model = report["flops"]["model"]
    hardware = report["flops"].get("hardware", model)
    again = f", {flops.text(hardware)} with recomputation" if hardware > model else ""
    yield _row("arithmetic", f"{flops.text(model)}{again}")
    sent = report["sent_per_chip"]
    yield _row("sent by a chip", _list(sent, lambda count: f"{count / 1e9:.2f} GB") or "nothing")
    if "estimate" not in report:
        yield _row("estimated step", "none for GPUs: measure with `python -m tools.benchmark`")
        return
    yield from _estimate_lines(report)


def _memory_lines(memory: Mapping[str, Any]) -> Iterator[str]:
    parts = ("arguments", "temporaries", "outputs", "code")
    text = ", ".join(f"{part} {memory[part] / GIB:.2f}" for part in parts)
    yield _row("GiB of a chip", f"{text}; together {memory['total'] / GIB:.2f}")
    verdict = "fits" if memory["fits"] else "DOES NOT FIT"
    yield _row("", f"{verdict}: a chip has {memory['chip'] / GIB:.2f} GiB")


def _estimate_lines(report: Mapping[str, Any]) -> Iterator[str]:
    estimate = report["estimate"]
    exposed = sum(estimate["exposed_s"].values())
    yield _row(
        "estimated step",
        f"{estimate['step_least_s']:.3f} to {estimate['step_s']:.3f} s: attention "
        f"{estimate['attention_least_s']:.3f} to {estimate['attention_s']:.3f}, modulation "
        f"{estimate['modulation_s']:.3f}, other arithmetic {estimate['arithmetic_s']:.3f}, "
        f"exchanges {exposed:.3f} (and {estimate['hidden_s']:.3f} hidden)",
    )
    if estimate["exposed_s"]:
        yield _row("exchanges", _list(estimate["exposed_s"], lambda each: f"{each:.3f} s"))
    mfu = f"{100 * estimate['mfu']:.1f} to {100 * estimate['mfu_most']:.1f}%"
    yield _row("MFU", f"{mfu} of bfloat16 peak")
    yield _row("limited by", estimate["limit"])
    assumed = ", ".join(f"{name}={share}" for name, share in report["assumptions"].items())
    yield _row("assumed shares", assumed)
    if report["uncounted_kernels"]:
        yield _row("not counted", f"time of the kernels {', '.join(report['uncounted_kernels'])}")
    if report["unknown_loops"]:
        yield _row("counted once", f"loops {', '.join(report['unknown_loops'])}")
    yield ""


def _list(values: Mapping[str, Any], text: Callable[[Any], str]) -> str:
    return ", ".join(f"{name} {text(value)}" for name, value in values.items())


def _row(name: str, value: str) -> str:
    return f"  {name:16}{value}"
