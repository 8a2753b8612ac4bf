# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax info WEIGHTS`: what checkpoints hold, and what a video of a size needs with them.

Only headers are read and nothing is compiled, so it answers at once and next to running jobs.
"""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax import config as configs
from mugv_jax import flops
from mugv_jax.commands.models import add_quantize
from mugv_jax.memory.live import LIVE
from mugv_jax.memory.plan import Plan
from mugv_jax.memory.stages import Stage, stages
from mugv_jax.nn.text.tokenizer import MAX_TOKENS
from mugv_jax.pipelines.pretrained import NAMES, find_local
from mugv_jax.pipelines.request import Request
from mugv_jax.pipelines.size import SIZES, VideoSize, parse_frames, parse_size
from mugv_jax.pipelines.zoo import GROUPS
from mugv_jax.sharding.mesh import abstract_mesh, parse_mesh
from mugv_jax.weights.check import variable_shapes
from mugv_jax.weights.describe import Description, describe
from mugv_jax.weights.formats import FOLDER_FILES
from mugv_jax.weights.models import MODELS

GIB = 2**30
TITLES = {"mugv_dit": "DiT", "mugv_vae": "VAE", "t5_encoder": "text encoder"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        help="a checkpoint, a folder or downloaded repository of a pipeline, or a file of sizes "
        "such as configs/mugv_10b.py",
    )
    names = ", ".join(f"{name} ({w}x{h})" for name, (w, h) in SIZES.items())
    parser.add_argument(
        "--size", default="portrait", help=f"WIDTHxHEIGHT in pixels, width first, or {names}"
    )
    parser.add_argument("--frames", default="5s", help="8k+1, or 3s (73), 5s (105) [%(default)s]")
    parser.add_argument(
        "--steps", type=int, default=Request.steps, help="of denoising [%(default)s]"
    )
    devices = parser.add_mutually_exclusive_group()
    devices.add_argument("--mesh", default="", help="devices per axis, such as data=2,tensor=4")
    devices.add_argument(
        "--devices", type=int, help="how many; the mesh is the one that needs least memory"
    )
    parser.add_argument(
        "--platform", choices=sorted(LIVE), default="gpu", help="of the devices [%(default)s]"
    )
    parser.add_argument(
        "--dtype", choices=("bfloat16", "float32"), help="[float32 on cpu, else bfloat16]"
    )
    add_quantize(parser)
    parser.add_argument("--vae-tile", type=int, metavar="PIXELS", help="as for `generate`")
    parser.add_argument("--json", action="store_true", help="for machines")


def run(args: argparse.Namespace) -> None:
    """Prints the report.

    Raises:
        ValueError: no weights, damaged ones, or a size, mesh or number out of range.
    """
    jax.config.update("jax_platforms", "cpu")  # an accelerator may be someone else's
    report = make_report(args)
    if args.json:
        json.dump(report, sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n".join(_lines(report)) + "\n")


def make_report(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed, as plain values.

    Raises:
        ValueError: see `run`.
    """
    if args.steps < 1:
        raise ValueError(f"steps={args.steps} must be at least 1.")
    if args.devices is not None and args.devices < 1:
        raise ValueError(f"devices={args.devices} must be at least 1.")
    width, height = parse_size(args.size)
    size = VideoSize(width_px=width, height_px=height, frames=parse_frames(args.frames))
    plan = Plan(
        size=size,
        mesh=abstract_mesh(parse_mesh(args.mesh)),
        platform=args.platform,
        dtype=jnp.dtype(args.dtype or ("float32" if args.platform == "cpu" else "bfloat16")),
        tile_px=args.vae_tile,
        quantize=args.quantize,
    )
    models, of_kind = _models(args.weights)
    if args.devices is not None:
        plan = min(_plans(plan, args.devices), key=lambda plan: _peak(of_kind, plan).total)
    peak = _peak(of_kind, plan)
    return {
        "models": models,
        "video": {
            "width_px": width,
            "height_px": height,
            "frames": size.frames,
            "latent_shape": list(size.latent_shape),
            **_work(of_kind, size, args.steps),
        },
        "mesh": {axis: count for axis, count in plan.mesh.shape.items() if count > 1},
        "devices": plan.mesh.size,
        "platform": plan.platform,
        "dtype": str(plan.dtype),
        "quantize": plan.quantize,
        "stages": [
            dataclasses.asdict(stage) | {"total": stage.total} for stage in stages(of_kind, plan)
        ],
        "peak": {"stage": peak.name, "bytes_per_device": peak.total},
    }


def _models(weights: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What is said of every model, and the sizes of those that are there, by kind."""
    path = Path(weights).expanduser()
    if path.suffix == ".py":
        config = configs.load(path)
        of_kind = {kind: getattr(config, group) for kind, group in GROUPS.items()}
        return [_planned(kind, config, path) for kind, config in of_kind.items()], of_kind
    found = {} if path.is_file() else find_local(weights)
    if not any(place.name not in FOLDER_FILES for place in found.values()):
        described = [describe(path)]  # one checkpoint, not a pipeline's folder
    else:
        described = [describe(place, kind) for kind, place in found.items()]
    of_kind = {each.kind: each.config for each in described}
    if len(of_kind) == len(GROUPS):
        configs.MugvConfig(**{GROUPS[kind]: config for kind, config in of_kind.items()})
    return [_described(each) for each in described], of_kind


def _planned(kind: str, config: Any, path: Path) -> dict[str, Any]:
    """A model of which there are only sizes."""
    shapes = variable_shapes(MODELS[kind], config)
    parameters = sum(
        math.prod(shape) for name, shape in shapes.items() if name.startswith("params/")
    )
    sizes = dataclasses.asdict(config)
    return {"kind": kind, "path": str(path), "sizes": sizes, "parameters": parameters}


def _described(model: Description) -> dict[str, Any]:
    return {
        "kind": model.kind,
        "format": model.format,
        "path": str(model.path),
        "file_bytes": model.file_bytes,
        "sizes": dataclasses.asdict(model.config),
        "parameters": model.parameters,
        "unused": model.unused,
        "stored": {dtype: dataclasses.asdict(each) for dtype, each in model.stored.items()},
    }


def _work(of_kind: Mapping[str, Any], size: VideoSize, steps: int) -> dict[str, Any]:
    """Tokens and arithmetic of the DiT, where there is one."""
    if "mugv_dit" not in of_kind:
        return {}
    config = of_kind["mugv_dit"]
    forward = flops.dit_forward(config, size.latent_shape, MAX_TOKENS)
    return {
        "tokens": flops.dit_tokens(config, size.latent_shape),
        "flops_per_forward": forward,
        "steps": steps,
        "flops_per_sample": 2 * steps * forward,  # guidance: two forwards a step
    }


def _plans(plan: Plan, devices: int) -> Iterator[Plan]:
    """`plan` on every mesh that splits one video over all devices."""
    for tensor in range(1, devices + 1):
        if devices % tensor == 0:
            mesh = abstract_mesh({"tensor": tensor, "sequence": devices // tensor})
            yield dataclasses.replace(plan, mesh=mesh)


def _peak(of_kind: Mapping[str, Any], plan: Plan) -> Stage:
    return max(stages(of_kind, plan), key=lambda stage: stage.total)


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The report for people."""
    for model in report["models"]:
        yield from _model_lines(model)
    for kind in sorted(set(NAMES) - {model["kind"] for model in report["models"]}):
        names = ", ".join(NAMES[kind])
        yield f"{TITLES[kind]}: not found, so not counted (in a folder it is one of {names})\n"
    video, mesh = report["video"], report["mesh"]
    where = ",".join(f"{axis}={count}" for axis, count in mesh.items()) or "no mesh"
    count = report["devices"]
    weights = f", {report['quantize']} weights" if report["quantize"] else ""
    yield (
        f"{video['width_px']}x{video['height_px']}, {video['frames']} frames on {count} "
        f"{report['platform']} device{'s' * (count > 1)} ({where}), {report['dtype']}{weights}"
    )
    yield _row("latent (f h w)", " x ".join(map(str, video["latent_shape"])))
    if "tokens" in video:
        yield _row("tokens", f"{video['tokens']:,}")
        sample = f"{flops.text(video['flops_per_sample'])} a sample ({video['steps']} guided steps)"
        yield _row("arithmetic", f"{flops.text(video['flops_per_forward'])} a forward, {sample}")
    yield f"\n  {'GiB per device':22}{'weights':>12}{'activations':>12}{'together':>12}"
    for stage in report["stages"]:
        numbers = (stage["weights"], stage["activations"], stage["total"])
        yield f"  {stage['name']:22}" + "".join(f"{number / GIB:12.2f}" for number in numbers)
    peak = report["peak"]
    yield f"\nneeds {peak['bytes_per_device'] / GIB:.1f} GiB per device ({peak['stage']})"


def _model_lines(model: Mapping[str, Any]) -> Iterator[str]:
    yield f"{TITLES[model['kind']]} ({model['kind']})"
    if "format" in model:
        size = f"{model['file_bytes'] / GIB:.2f} GiB on disk"
        yield _row("file", f"{model['path']}, {model['format']}, {size}")
    yield _row("sizes", ", ".join(f"{name}={value}" for name, value in model["sizes"].items()))
    unused = model.get("unused", 0)
    beside = f", and {unused:,} in tensors that nothing reads" if unused else ""
    yield _row("parameters", f"{model['parameters']:,}{beside}")
    for dtype, stored in model.get("stored", {}).items():
        yield _row(
            f"stored {dtype}", f"{stored['tensors']} tensors, {stored['nbytes'] / GIB:.2f} GiB"
        )
    yield ""


def _row(name: str, value: str) -> str:
    return f"  {name:22}{value}"
