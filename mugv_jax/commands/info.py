# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax info WEIGHTS`: contents of checkpoints, and needs of a video of some size.

Of a video or picture it shows how that was made (`records.py`).

Only headers are read, unless --verify is given, and nothing is compiled, so it is fast and does not
disturb other jobs.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.bounds import require_at_least
from mugv_jax.commands import records
from mugv_jax.commands.inventory import Inventory, take_inventory
from mugv_jax.commands.model_options import add_offload, add_quantize, add_video, tiling_of
from mugv_jax.commands.options import add_value
from mugv_jax.cost import flops
from mugv_jax.cost.costs import Stage
from mugv_jax.cost.memory.live import LIVE
from mugv_jax.cost.memory.plan import HOST_LINK, Plan, Size, streamed_weights
from mugv_jax.sharding.mesh import abstract_mesh, parse_mesh
from mugv_jax.systems.system import every
from mugv_jax.weights.describe import verify

GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "weights",
        metavar="WEIGHTS",
        help="a checkpoint, a folder or downloaded repository of a pipeline, or a config: a name "
        "such as mugv_10b, or a file; or a video or picture, to see how it was made",
    )
    add_video(parser, size="portrait")
    steps = ", ".join(f"{system.steps} of {system.name}" for system in every())
    parser.add_argument("--steps", type=int, help=f"number of denoising steps [{steps}]")
    devices = parser.add_mutually_exclusive_group()
    devices.add_argument("--mesh", default="", help="devices per axis, such as data=2,tensor=4")
    devices.add_argument(
        "--devices", type=int, help="number of devices; takes the mesh that needs least memory"
    )
    add_value(parser, "--platform", "gpu", "platform", choices=sorted(LIVE))
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "float32"),
        help="dtype of weights and arithmetic [float32 on cpu, else bfloat16]",
    )
    add_quantize(parser)
    add_offload(parser)
    parser.add_argument("--vae-tile", type=int, metavar="PIXELS", help="see mugv-jax generate")
    verify = "read all weights and compare them with their checksums"
    parser.add_argument("--verify", action="store_true", help=verify)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    """Print the report.

    Raises:
        ValueError: no weights, damaged ones, or a size, mesh or number out of range.
    """
    if records.is_media(args.weights):
        records.show(args.weights, as_json=args.json)
        return
    jax.config.update("jax_platforms", "cpu")  # leaves accelerators to other jobs
    require_at_least(1, args, "steps", "devices")
    found = take_inventory(args.weights)
    if args.verify:
        _verify(found)
    report = make_report(args, found)
    if args.json:
        json.dump(report, sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n".join(_lines(report, found)) + "\n")


def _verify(found: Inventory) -> None:
    """Add what is known of the correctness of every model's files to its description."""
    for model in found.described.values():
        if "format" in model:
            model["verified"] = verify(model["path"])


def make_report(args: argparse.Namespace, found: Inventory) -> dict[str, Any]:
    """Contents of the report, as plain values.

    Raises:
        ValueError: see `run`.
    """
    tiling_of(args.vae_tile, found.system)  # raises the errors of `generate`
    size = found.system.parse(args.size, args.frames)
    plan = Plan(
        size=size,
        mesh=abstract_mesh(parse_mesh(args.mesh)),
        platform=args.platform,
        dtype=jnp.dtype(args.dtype or ("float32" if args.platform == "cpu" else "bfloat16")),
        tile_px=args.vae_tile,
        quantize=args.quantize,
        offload=args.offload,
    )
    if args.devices is not None:
        plan = min(_plans(plan, args.devices, found), key=lambda plan: _peak(found, plan).total)
    peak = _peak(found, plan)
    return {
        "models": list(found.described.values()),
        "video": {
            "width_px": size.width_px,
            "height_px": size.height_px,
            "frames": size.frames,
            "latent_shape": list(size.latent_shape),
            **_work(found, size, args.steps or found.system.steps),
        },
        "mesh": {axis: count for axis, count in plan.mesh.shape.items() if count > 1},
        "devices": plan.mesh.size,
        "platform": plan.platform,
        "dtype": str(plan.dtype),
        "quantize": plan.quantize,
        "streamed_bytes": _streamed(found, plan),
        "stages": [
            dataclasses.asdict(stage) | {"total": stage.total}
            for stage in found.system.stages(found.sizes, plan)
        ],
        "peak": {"stage": peak.name, "bytes_per_device": peak.total},
    }


def _streamed(found: Inventory, plan: Plan) -> int:
    """Bytes of weights that an evaluation copies from the host to a device."""
    if "dit" not in found.sizes:
        return 0
    return streamed_weights(found.system.kinds["dit"], found.sizes["dit"], plan)


def _work(found: Inventory, size: Size, steps: int) -> dict[str, Any]:
    """Tokens and arithmetic of the DiT; empty without one."""
    if "dit" not in found.sizes:
        return {}
    config, system = found.sizes["dit"], found.system
    text_tokens = system.text_tokens(config)
    forward = system.costs.forward(config, size.latent_shape, text_tokens)
    return {
        "tokens": system.costs.tokens(config, size.latent_shape),
        "flops_per_forward": forward,
        "steps": steps,
        "flops_per_sample": 2 * steps * forward,  # guidance: two forwards a step
    }


def _plans(plan: Plan, devices: int, found: Inventory) -> Iterator[Plan]:
    """Copies of `plan` on every mesh that splits one video over all devices, and heads evenly."""
    heads = found.sizes["dit"].num_heads if "dit" in found.sizes else devices
    for tensor in range(1, devices + 1):
        if devices % tensor == 0 and heads % tensor == 0:
            mesh = abstract_mesh({"tensor": tensor, "sequence": devices // tensor})
            yield dataclasses.replace(plan, mesh=mesh)


def _peak(found: Inventory, plan: Plan) -> Stage:
    """Stage that needs most memory."""
    return max(found.system.stages(found.sizes, plan), key=lambda stage: stage.total)


def _lines(report: Mapping[str, Any], found: Inventory) -> Iterator[str]:
    """Lines of the printed report."""
    titles = found.system.titles
    for field, model in found.described.items():
        yield from _model_lines(titles[field], model)
    for field, names in found.system.files.items():
        if field not in found.described and field in found.system.groups:
            names = f"{'one of ' * (len(names) > 1)}{', '.join(names)}"
            yield f"{titles[field]}: not found, so not counted (in a folder it is {names})\n"
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
        steps = f"{video['steps']} guided step{'s' * (video['steps'] > 1)}"
        sample = f"{flops.text(video['flops_per_sample'])} a sample ({steps})"
        yield _row("arithmetic", f"{flops.text(video['flops_per_forward'])} a forward, {sample}")
    yield f"\n  {'GiB per device':22}{'weights':>12}{'activations':>12}{'together':>12}"
    for stage in report["stages"]:
        numbers = (stage["weights"], stage["activations"], stage["total"])
        yield f"  {stage['name']:22}" + "".join(f"{number / GIB:12.2f}" for number in numbers)
    peak, streamed = report["peak"], report["streamed_bytes"]
    if streamed:
        yield (
            f"\nevery evaluation copies {streamed / GIB:.1f} GiB to each device: "
            f"{streamed / HOST_LINK:.2g} s at {HOST_LINK / 1e9:g} GB/s"
        )
    yield f"\nneeds {peak['bytes_per_device'] / GIB:.1f} GiB per device ({peak['stage']})"


def _model_lines(title: str, model: Mapping[str, Any]) -> Iterator[str]:
    yield f"{title} ({model['kind']})"
    if "format" in model:
        size = f"{model['file_bytes'] / GIB:.2f} GiB on disk"
        yield _row("file", f"{model['path']}, {model['format']}, {size}")
    if "verified" in model:
        yield _row("verified", model["verified"])
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
