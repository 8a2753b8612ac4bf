# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Memory of programs compiled as in the pipelines, to compare with predictions."""

import functools

import jax
import jax.numpy as jnp

from mugv_jax.cost.memory.plan import Plan
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import euler_step
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.quantize import SCALES, abstract_quantized, quantize_of
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import batch_sharding, variable_shardings
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.weights.registry import MODELS, abstract_variables

# Predicted over compiled. Small sizes, where slices of weights and small arrays count most, are
# the hardest to predict; an overestimate is the safer error.
LEAST, MOST = 0.8, 1.5


def plan(
    width=512,
    height=256,
    frames=33,
    mesh=None,
    dtype=jnp.float32,
    platform="cpu",
    size=VideoSize,
    **options,
):
    return Plan(
        size=size(width_px=width, height_px=height, frames=frames),
        mesh=meshes.abstract_mesh(mesh),
        platform=platform,
        dtype=dtype,
        **options,
    )


def abstract(shape, dtype=jnp.float32, sharding=None):
    return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)


def variables(kind, config, mesh, dtype=jnp.float32, quantize=None):
    boxed = abstract_quantized(abstract_variables(kind, config), quantize_of(kind, quantize))

    def leaf_of(path, leaf, sharding):
        as_it_is = leaf.dtype != jnp.float32 or path[-1].key in SCALES
        return abstract(leaf.shape, leaf.dtype if as_it_is else dtype, sharding)

    shardings = variable_shardings(boxed, mesh)
    return jax.tree_util.tree_map_with_path(leaf_of, unboxed(boxed), shardings)


def compiled_bytes(function, *args, **kwargs):
    """Temporaries and arguments of the compiled program, on each device."""
    found = function.lower(*args, **kwargs).compile().memory_analysis()
    return found.temp_size_in_bytes + found.argument_size_in_bytes


def compiled_step(system, dit, size, sizes=None, dtype=jnp.float32, quantize=None):
    """One guided step of a system's DiT on a mesh of `sizes`."""
    mesh, kind = meshes.make_mesh(sizes), system.kinds["dit"]
    batch = mesh.shape["data"] * mesh.shape["fsdp"]
    of_batch = functools.partial(abstract, sharding=batch_sharding(mesh, batch))
    denoiser = system.denoiser(build_dit(dit, mesh, module=MODELS[kind].build, dtype=dtype))
    tokens = system.text_tokens(dit)
    condition = denoiser.abstract_condition(
        mesh, rows=batch, latent_shape=size.latent_shape, text_tokens=tokens
    )
    with meshes.use(mesh):
        step = jax.jit(euler_step, static_argnums=0, static_argnames="guidance", donate_argnums=2)
        return compiled_bytes(
            step,
            denoiser,
            variables(kind, dit, mesh, dtype, quantize),
            of_batch((batch, *size.latent_shape, dit.in_channels)),
            abstract(()),
            abstract(()),
            of_batch((batch, size.latent_shape[0]), jnp.bool_),
            condition,
            condition,
            guidance=Guidance(),
        )
