# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Report on one compiled step on one slice, as plain values."""

import dataclasses
from typing import Any, Literal

import jax
from jax.sharding import Mesh

from mugv_jax.compile import hlo
from mugv_jax.compile.collectives import Collective, collectives, sent_bytes
from mugv_jax.compile.estimate import Assumptions, estimate, mfu
from mugv_jax.compile.gpu_target import is_gpu, memory_bytes
from mugv_jax.compile.predict import step_flops
from mugv_jax.compile.samplers import SamplerConfig, sampler_of
from mugv_jax.compile.schedule import AttentionCall, Schedule, schedules
from mugv_jax.compile.steps import (
    Compiled,
    compile_sampler_step,
    compile_train_step,
    torus_of,
    train_step_rows,
)
from mugv_jax.compile.work import work_of
from mugv_jax.cost.chips import chip_of
from mugv_jax.cost.memory.plan import Size
from mugv_jax.progress import stage
from mugv_jax.sharding.place import data_shards
from mugv_jax.train.train_config import DiTTrainConfig

Kind = Literal["train", "sampler"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """Options of a report.

    topology: name of a TPU slice, or of GPUs.
    rows: samples of a step; None means one per data shard and microbatch.
    quantize: dtype of the sampler's 8-bit weights, a name of `nn.quantize.NAMES`.

    Raises:
        ValueError: an unknown chip, 8-bit weights in training, or training by a config without
            training groups.
    """

    config: DiTTrainConfig | SamplerConfig
    topology: str
    size: Size
    kind: Kind = "train"
    rows: int | None = None
    assumptions: Assumptions = dataclasses.field(default_factory=Assumptions)
    quantize: str | None = None

    def __post_init__(self):
        if not is_gpu(self.topology):
            chip_of(self.topology)
        if self.quantize and self.kind == "train":
            raise ValueError(f"quantize={self.quantize}: weights in training are not quantised.")
        if self.kind == "train" and isinstance(self.config, SamplerConfig):
            raise ValueError(
                f"the config of the system {self.config.system.name} has no training groups: add "
                "those of configs/training.py, or compile a step of its sampler with --sampler."
            )

    @property
    def trained(self) -> DiTTrainConfig:
        """The training run whose step is reported on."""
        assert isinstance(self.config, DiTTrainConfig)
        return self.config


def report(request: Request, devices: list[jax.Device]) -> dict[str, Any]:
    """Compile the step for the `devices` of the slice, and report its memory and time.

    Time is estimated for TPUs, whose compiler counts cycles; for GPUs memory and exchanges are
    known.

    Raises:
        ValueError: a model, batch, mesh or memory that does not fit.
    """
    config = request.config
    mesh = config.mesh.make_mesh(devices)
    training = request.kind == "train"
    least = train_step_rows(request.trained, mesh) if training else data_shards(mesh)
    rows = request.rows or least
    size = request.size
    where = mesh, size.latent_shape, rows
    with stage(f"compiling for {request.topology}"):
        if training:
            compiled = compile_train_step(request.trained, *where)
        else:
            compiled = compile_sampler_step(config, *where, quantize=request.quantize)
    gpu = is_gpu(request.topology)
    counted = _flops(request, compiled, rows)
    tokens = sampler_of(config).system.costs.tokens(config.dit, request.size.latent_shape)
    chip_bytes = memory_bytes(request.topology) if gpu else chip_of(request.topology).hbm_bytes
    known = {
        "step": request.kind,
        "topology": request.topology,
        "chips": mesh.size,
        "mesh": {axis: size for axis, size in mesh.shape.items() if size > 1},
        "options": _options(request.trained)
        if training
        else {"quantize": request.quantize or "off"},
        "video": {
            "width_px": size.width_px,
            "height_px": size.height_px,
            "frames": size.frames,
            "latent_shape": list(size.latent_shape),
            "tokens": tokens,
        },
        "samples": rows,
        "memory": _memory(compiled, chip_bytes),
        "flops": counted,
        "compile_s": compiled.seconds,
    }
    program = hlo.parse(compiled.text)
    exchanges = list(collectives(program, mesh.size))
    known["sent_per_chip"] = sent_bytes(exchanges)
    known["unknown_loops"] = list(program.unknown_loops())
    return known if gpu else known | _timed(request, program, exchanges, mesh, known)


def _timed(
    request: Request,
    program: hlo.Program,
    exchanges: list[Collective],
    mesh: Mesh,
    known: dict[str, Any],
) -> dict[str, Any]:
    """Estimated time of a step and its parts, from the report of the TPU's compiler."""
    chip = chip_of(request.topology)
    work = work_of(program)
    with stage("reading the schedules of attention kernels"):
        scheduled = schedules(work.attention_calls, request.topology)
    time = estimate(work, scheduled, exchanges, torus_of(mesh, chip), request.assumptions)
    counted, rows = known["flops"], known["samples"]
    return {
        "flops": counted | {"attention_kernels_per_chip": work.attention_flops},
        "estimate": {
            "arithmetic_s": time.arithmetic,
            "attention_s": time.attention,
            "attention_least_s": time.attention_least,
            "modulation_s": time.modulation,
            "exposed_s": dict(time.exposed),
            "hidden_s": time.hidden,
            "step_s": time.step,
            "step_least_s": time.step_least,
            "mfu": time.mfu(counted["model"], mesh.size, chip),
            "mfu_most": mfu(counted["model"], time.step_least, mesh.size, chip),
            "samples_per_second": rows / time.step,
            "limit": time.limit,
        },
        "assumptions": dataclasses.asdict(request.assumptions),
        "schedules": [_scheduled(*each) for each in scheduled.items()],
        "kernels": dict(work.kernels),
        "uncounted_kernels": list(work.uncounted),
    }


def _scheduled(call: AttentionCall, schedule: Schedule) -> dict[str, Any]:
    """Sizes of an attention kernel, and its schedule for one head."""
    return dataclasses.asdict(call) | dataclasses.asdict(schedule) | {"cycles": schedule.cycles}


def _options(config: DiTTrainConfig) -> dict[str, Any]:
    """Options beside the mesh that determine memory and time."""
    return {
        "objective": config.objective.name,
        "lora_rank": config.lora.rank if config.lora else 0,
        "sequence_method": config.mesh.sequence_method,
        "microbatches": config.mesh.microbatches,
        "accumulate": config.run.accumulate,
        "remat": config.run.remat,
        "dtype": config.run.dtype,
        "ema": config.ema.enabled,
    }


def _memory(compiled: Compiled, chip_bytes: int) -> dict[str, Any]:
    memory = compiled.memory
    return dataclasses.asdict(memory) | {
        "total": memory.total,
        "chip": chip_bytes,
        "fits": memory.total <= chip_bytes,
    }


def _flops(request: Request, compiled: Compiled, rows: int) -> dict[str, int]:
    """Floating-point operations of a step, all chips together.

    What is computed again to save memory ("hardware") is known for flow matching, whose backward
    pass goes through the network once; other objectives count the model's operations alone.
    """
    shape = request.size.latent_shape
    if request.kind == "sampler":
        sampler = sampler_of(request.config)
        forward = sampler.system.costs.forward(sampler.dit, shape, sampler.text_tokens)
        return dict.fromkeys(("model", "hardware"), 2 * rows * forward)
    one = step_flops(request.trained, shape)
    if request.trained.objective.name == "flow_matching":
        return {"model": rows * one.model, "hardware": rows * one.hardware}
    assert compiled.flops is not None
    return {"model": compiled.flops}
