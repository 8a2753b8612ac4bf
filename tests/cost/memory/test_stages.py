# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import math

import jax
import jax.numpy as jnp
import pytest

from mugv_jax.cost.memory.plan import weight_shards
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.nn.quantize import abstract_quantized
from mugv_jax.nn.text.t5 import T5Config, T5Encoder
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import variable_shardings
from mugv_jax.systems.mugv import spatial_tiles, windows
from mugv_jax.systems.mugv.size import MAX_TOKENS
from mugv_jax.systems.mugv.system import SYSTEM
from mugv_jax.systems.tiles import Tiling
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.cost.memory.compiled import (
    LEAST,
    MOST,
    abstract,
    compiled_bytes,
    compiled_step,
    plan,
    variables,
)

DIT = DiTConfig(depth=3, width=576, num_heads=8, text_dim=64)
VAE = VAEConfig(
    spatial_channels=(32, 32, 64),
    spatial_layers=1,
    temporal_filters=32,
    temporal_multipliers=(1, 2, 2),
    temporal_layers=1,
)
T5 = T5Config(vocab_size=512, width=256, head_dim=64, mlp_dim=640, depth=3, num_heads=8)


@pytest.mark.parametrize(
    ("width", "height", "frames", "mesh"),
    [
        (128, 128, 9, None),
        (512, 512, 65, None),
        (512, 512, 65, {"tensor": 4}),
        (512, 512, 65, {"fsdp": 2, "sequence": 2, "tensor": 2}),
    ],
    ids=str,
)
def test_dit_step_as_compiled(width, height, frames, mesh):
    planned = plan(width, height, frames, mesh)
    (stage,) = SYSTEM.stages({"dit": DIT}, planned)
    ratio = stage.total / compiled_step(SYSTEM, DIT, planned.size, mesh)
    assert LEAST <= ratio <= MOST


@pytest.mark.parametrize("quantize", [None, "int8", "fp8"])
def test_sixteen_bits_are_widened_on_cpu_and_eight_are_not(quantize):
    planned = plan(512, 512, 65, dtype=jnp.bfloat16, quantize=quantize)
    (stage,) = SYSTEM.stages({"dit": DIT}, planned)
    compiled = compiled_step(SYSTEM, DIT, planned.size, dtype=jnp.bfloat16, quantize=quantize)
    assert LEAST <= stage.total / compiled <= MOST


def compiled_in_tiles(vae, half, weights, shape, side):
    """Largest program of a half of the VAE, with its input and output."""
    module, own = getattr(vae.bind(weights), half).unbind()
    x, needed = abstract((shape[1], *shape[2:])), []
    for number in range(module.num_parts):
        tiling = Tiling(rows=side, columns=side)
        part = spatial_tiles._run_part.lower(
            module, number, own, x, tiling, 128 // VAE.spatial_factor
        )
        y = part.out_info
        held = 4 * (math.prod(x.shape) + math.prod(y.shape))
        needed.append(part.compile().memory_analysis().temp_size_in_bytes + held)
        x = abstract(y.shape)
    return max(needed)


@pytest.mark.parametrize("tile_px", [None, 64])
def test_vae_as_compiled(tile_px):
    """Compiled programs, plus the arrays that `systems/mugv/windows.py` holds meanwhile."""
    planned = plan(width=256, height=128, frames=49, tile_px=tile_px)
    size, factor = planned.size, VAE.spatial_factor
    vae, weights = VideoVAE(VAE, jnp.float32), variables("mugv_vae", VAE, meshes.make_mesh())
    rows, columns = size.height_px // factor, size.width_px // factor
    frames = windows.default_step(rows, columns, factor, devices=1)
    pixels = (1, frames, size.height_px, size.width_px, 3)
    window = (1, VAE.window_frames, rows, columns, VAE.feature_channels)
    step = (1, frames, *window[2:])
    latent = (1, VAE.window_latents, rows, columns, VAE.latent_channels)

    def temporary(method, shape):
        lowered = windows._apply.lower(vae, method, weights, abstract(shape))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    if tile_px is None:
        encode, decode = temporary("encode_features", pixels), temporary("decode_pixels", step)
    else:
        encode = compiled_in_tiles(vae, "spatial_encoder", weights, pixels, tile_px // factor)
        decode = compiled_in_tiles(vae, "spatial_decoder", weights, step, tile_px // factor)
    moments, unpack = temporary("encode_moments", window), temporary("decode_features", latent)
    frame, features = 4 * math.prod(pixels[2:]), 4 * math.prod(window)
    held = (size.frames + VAE.window_frames) * frame + features
    made = 2 * frames * frame
    encoding, decoding = SYSTEM.stages({"vae": VAE}, planned)
    compiled = encoding.weights + held + max(encode, moments)
    assert LEAST <= encoding.total / compiled <= MOST
    compiled = decoding.weights + features + max(unpack, decode + made)
    assert LEAST <= decoding.total / compiled <= MOST


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_text_encoder_as_compiled(quantize):
    ids = abstract((1, MAX_TOKENS), jnp.int32), abstract((1, MAX_TOKENS), jnp.bool_)
    weights = variables("t5_encoder", T5, meshes.make_mesh(), quantize=quantize)
    compiled = compiled_bytes(jax.jit(T5Encoder(T5, jnp.float32).apply), weights, *ids)
    (stage,) = SYSTEM.stages({"text": T5}, plan(quantize=quantize))
    assert LEAST <= stage.total / compiled <= MOST


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize(("kind", "config"), [("mugv_dit", DIT), ("mugv_vae", VAE)])
def test_weights_on_a_mesh_are_those_of_its_devices(kind, config, quantize):
    sizes = {"fsdp": 2, "sequence": 2, "tensor": 2}
    mesh, boxed = meshes.make_mesh(sizes), abstract_variables(kind, config)
    shardings = variable_shardings(abstract_quantized(boxed, quantize), mesh)
    placed = random_variables(boxed, seed=0, shardings=shardings, quantize=quantize)
    held = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(placed))
    planned = plan(mesh=sizes, quantize=quantize)
    assert sum(weight_shards(kind, config, planned).values()) == held


def test_a_large_picture_is_decoded_one_frame_at_a_time():
    """Four frames at once would be the largest stage."""
    sizes = VAEConfig()
    (_, small), (_, large) = (
        SYSTEM.stages({"vae": sizes}, plan(width, height, 105, platform="gpu", dtype=jnp.bfloat16))
        for width, height in ((640, 352), (1280, 720))
    )
    assert large.activations < 2.5 * small.activations
    assert large.total < 8 * 2**30


def test_tiles_as_large_as_the_frame_change_nothing():
    whole, tiled = (list(SYSTEM.stages({"vae": VAE}, plan(tile_px=px))) for px in (None, 512))
    assert whole == tiled


def test_cudnn_holds_no_scores():
    sixteen, thirty_two = (
        next(SYSTEM.stages({"dit": DIT}, plan(dtype=dtype, platform="gpu")))
        for dtype in (jnp.bfloat16, jnp.float32)
    )
    scores = 4 * DIT.num_heads * 2562**2  # of (5, 32, 64) latents
    assert thirty_two.activations > 2 * sixteen.activations + 0.9 * scores
