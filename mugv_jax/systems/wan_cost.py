# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Peak activations of the Wan VAE on one device, as `systems/wan_windows.py` runs it.

    cache (earlier frames that convolutions need) + widest array x copies of it + pixels

for the frames of one latent and one tile, regardless of the video's length: all else is in host
memory. Rows of the picture are split over "sequence" and "tensor".
"""

import functools
import math

import jax
import jax.numpy as jnp

from mugv_jax.cost.memory.live import FLOAT32, SCORE_COPIES
from mugv_jax.cost.memory.plan import Plan
from mugv_jax.nn.wan import streaming
from mugv_jax.nn.wan.vae import Decoder, Encoder, WanVAEConfig
from mugv_jax.weights.registry import MODELS, abstract_variables


def part(config: WanVAEConfig, plan: Plan, *, method: str, kind: str = "wan_vae") -> float:
    """Bytes of encoding the frames of one latent, or of decoding it, as `method` says.

    kind: name of the VAE in the registry; any that `nn/wan/streaming.py` can run.
    """
    factor, size = config.spatial_factor, plan.size
    sides = size.height_px // factor, size.width_px // factor
    parts = plan.parts("sequence", "tensor")
    rows, columns = sides
    if plan.tile_px is not None and plan.tile_px // factor < max(sides):
        halo = (Encoder if method == "encode" else Decoder).halo(config)
        rows, columns = (min(plan.tile_px // factor + 2 * halo, side) for side in sides)
    local = -(-rows // parts) * columns
    frames = config.time_factor if size.frames > 1 else 1
    widest = local * frames * _widest(config) * FLOAT32
    attending = -(-sides[0] // parts) * sides[1]  # also in tiles, whole frames attend
    scores = min(plan.score_budget, attending * math.prod(sides) * FLOAT32)
    return (
        plan.live.direct.cache * local * _cache(config, jnp.dtype(plan.dtype), method, kind)
        + max(plan.live.convolved("part", widest, max(config.widths)), SCORE_COPIES * scores)
        + local * frames * factor**2 * 3 * FLOAT32
    )


@functools.cache
def _cache(config: WanVAEConfig, dtype: jnp.dtype, method: str, kind: str) -> int:
    """Bytes of the cache for each latent of a picture."""
    if method == "encode":
        shape = (1, 1, config.spatial_factor, config.spatial_factor, 3)
    else:
        shape = (1, 1, 1, 1, config.latent_channels)
    vae = MODELS[kind].build(config, dtype)
    first = functools.partial(streaming.first_part, vae, method=method)
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    _, cache = jax.eval_shape(first, abstract_variables(kind, config), x)
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache))


def _widest(config: WanVAEConfig) -> int:
    """Entries of the widest array of any scale, for each latent and frame."""
    scales = len(config.widths)
    return max(4 ** (scales - 1 - scale) * width for scale, width in enumerate(config.widths))


encode, decode = (functools.partial(part, method=method) for method in ("encode", "decode"))
