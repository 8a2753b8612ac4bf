# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Compilation of training and sampler steps for absent TPU slices and GPUs.

The compilers of libtpu and of `jax[cuda13]` run on any x86 machine, and a topology describes the
absent devices. Arrays stay abstract, so no weights exist: compiling a step of 10B parameters
takes 4 GiB and minutes, more if the chip's memory is tight.
"""

import dataclasses
import functools
import importlib.util
import math
import os
import re
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mugv_jax.compile.gpu_target import gpu_devices, is_gpu
from mugv_jax.compile.samplers import SamplerConfig, sampler_of
from mugv_jax.compile.torus import Torus
from mugv_jax.cost.chips import Chip
from mugv_jax.files import shortened
from mugv_jax.flow.denoiser import LatentShape
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import euler_step
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.quantize import abstract_quantized
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit, check_batch
from mugv_jax.sharding.place import batch_sharding, data_shards, variable_shardings
from mugv_jax.train.diffusion import make_program
from mugv_jax.train.inputs import abstract_null_text
from mugv_jax.train.train_config import DiTTrainConfig
from mugv_jax.weights.registry import MODELS, abstract_variables

# These keep libtpu from looking for a TPU in this machine, and let two processes compile.
LIBTPU_SETTINGS = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",  # any valid type; the topology is used
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


MAX_CHIPS = 16_384  # more than any pod has


class DoesNotFitError(ValueError):
    """Error: a program needs more memory than a chip has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of memory that a program needs on one chip.

    arguments: weights, optimizer state and data.
    temporaries: arrays that a step makes and frees.
    outputs: results that are not written over arguments.
    code: the program itself.
    """

    arguments: int
    temporaries: int
    outputs: int
    code: int

    @property
    def total(self) -> int:
        """Bytes of all parts together."""
        return self.arguments + self.temporaries + self.outputs + self.code


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compiled:
    """Compiled step: its text, its memory, and the seconds of compilation.

    flops: model FLOPs of the step as its objective counts them; None for a sampler.
    """

    text: str
    memory: Memory
    seconds: float
    flops: int | None = None


def slice_devices(topology: str) -> list[jax.Device]:
    """Devices of a TPU slice such as "v5p:4x4x4", or of GPUs such as "h200:8"; they may be absent.

    Raises:
        ValueError: no compiler for them, or a slice that does not exist.
    """
    if is_gpu(topology):
        return gpu_devices(topology)
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(
            "compiling for a TPU needs its compiler, the package libtpu: "
            "pip install 'mugv_jax[tpu]', or libtpu alone."
        )
    _check_topology(topology)
    os.environ.update({name: os.environ.get(name, to) for name, to in LIBTPU_SETTINGS.items()})
    try:
        return list(topologies.get_topology_desc(topology, platform="tpu").devices)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"topology {topology!r} is not known to the TPU compiler: {reason}. Write a slice as "
            "v5p:4x4x4 or v5e:4x8."
        ) from error


def _check_topology(topology: str) -> None:
    """Raise a ValueError for a slice that ends the process inside libtpu, such as v5p:0x0x0."""
    _, _, sides = topology.partition(":")
    found = re.fullmatch(r"\d{1,4}(x\d{1,4}){1,2}", sides)
    numbers = [int(side) for side in sides.split("x")] if found else [0]
    if not 0 < math.prod(numbers) <= MAX_CHIPS:
        raise ValueError(
            f"topology {shortened(topology)!r}: write a slice of 1 to {MAX_CHIPS} chips as "
            "v5p:4x4x4 or v5e:4x8."
        )


def torus_of(mesh: Mesh, chip: Chip) -> Torus:
    """Torus with the coordinates of the mesh's devices, in the order of `mesh.devices.flat`."""
    return Torus(chip, np.array([device.coords for device in mesh.devices.flat]))


def train_step_rows(config: DiTTrainConfig, mesh: Mesh) -> int:
    """Number of samples in the smallest step: one per data shard and microbatch."""
    return data_shards(mesh) * config.mesh.microbatches * config.run.accumulate


def compile_train_step(
    config: DiTTrainConfig, mesh: Mesh, latent_shape: LatentShape, rows: int
) -> Compiled:
    """Compiled training step of `rows` samples with latents of (f, h, w).

    Raises:
        ValueError: a model, batch or memory that does not fit the mesh.
    """
    check_batch(rows // config.run.accumulate, mesh, config.mesh)
    program = make_program(config, mesh, abstract_null_text(config), abstract=True)
    batch = program.objective.abstract_batch(mesh, latent_shape, rows)
    with meshes.use(mesh):
        step = program.compiled_step(program.objective.variant(batch))
        lowered = step.lower(program.abstract, batch)
    return dataclasses.replace(_compile(lowered, mesh), flops=program.objective.work(batch).flops)


def compile_sampler_step(
    config: DiTTrainConfig | SamplerConfig,
    mesh: Mesh,
    latent_shape: LatentShape,
    rows: int,
    *,
    quantize: str | None = None,
) -> Compiled:
    """Compiled guided step of `rows` videos; weights have the arithmetic's dtype.

    quantize: dtype of 8-bit weights, a name of `nn.quantize.NAMES`.

    Raises:
        ValueError: a model, batch or memory that does not fit the mesh, or an unknown `quantize`.
    """
    config = sampler_of(config)
    check_batch(rows, mesh, config.mesh)
    kind = config.system.kinds["dit"]
    module = build_dit(
        config.dit,
        mesh,
        config.mesh,
        dtype=jnp.dtype(config.run.dtype),
        kernels=config.kernels,
        module=MODELS[kind].build,
    )
    shaped = functools.partial(jax.ShapeDtypeStruct, sharding=batch_sharding(mesh, rows))
    scalar = jax.ShapeDtypeStruct((), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))
    denoiser = config.system.denoiser(module)
    condition = denoiser.abstract_condition(
        mesh, rows=rows, latent_shape=latent_shape, text_tokens=config.text_tokens
    )
    variables = _resident(kind, config, mesh, quantize)
    # Weights that only process text stay in memory, though a step does not read them.
    step = jax.jit(
        euler_step,
        static_argnums=0,
        static_argnames="guidance",
        donate_argnums=2,
        keep_unused=True,
    )
    with meshes.use(mesh):
        lowered = step.lower(
            denoiser,
            variables,
            shaped((rows, *latent_shape, config.dit.in_channels), jnp.float32),
            scalar,
            scalar,
            shaped((rows, latent_shape[0]), jnp.bool_),
            condition,
            condition,
            guidance=Guidance(),
        )
    return _compile(lowered, mesh)


def _resident(kind: str, config: SamplerConfig, mesh: Mesh, quantize: str | None) -> Any:
    """Shapes, dtypes and shardings of the weights."""
    weights = abstract_quantized(abstract_variables(kind, config.dit), quantize)

    def resident(leaf: jax.ShapeDtypeStruct, place: NamedSharding) -> jax.ShapeDtypeStruct:
        kept = leaf.dtype if leaf.dtype.itemsize == 1 else jnp.dtype(config.run.dtype)
        return jax.ShapeDtypeStruct(leaf.shape, kept, sharding=place)

    return jax.tree.map(resident, unboxed(weights), variable_shardings(weights, mesh))


def _compile(lowered: Any, mesh: Mesh) -> Compiled:
    start = time.monotonic()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        if kernel := re.search(r"memory space vmem .*?%(\w+)", str(error)):
            raise ValueError(
                f"the kernel {kernel[1]} needs more vector memory than a core of this chip has: "
                "choose another with --config.kernels, or another dtype."
            ) from error
        needed = re.search(r"Used (\S+) of (\S+) hbm", str(error))
        what = f"{needed[1]} of {needed[2]}" if needed else "more than all"
        sizes = ", ".join(f"{axis}={size}" for axis, size in mesh.shape.items() if size > 1)
        raise DoesNotFitError(
            f"on a mesh of {sizes or 'one chip'} the step needs {what} of a chip's memory: split "
            "it further (fsdp, sequence, tensor or pipeline), or recompute more (run.remat)."
        ) from error
    used = compiled.memory_analysis()
    memory = Memory(
        arguments=used.argument_size_in_bytes,
        temporaries=used.temp_size_in_bytes,
        outputs=used.output_size_in_bytes - used.alias_size_in_bytes,
        code=used.generated_code_size_in_bytes,
    )
    seconds = time.monotonic() - start
    return Compiled(text=compiled.as_text(), memory=memory, seconds=seconds)
