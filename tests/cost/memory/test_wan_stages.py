# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Stages of the enhancer and of ContentV, compared with compiled programs."""

import functools

import jax
import jax.numpy as jnp
import pytest

from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.text.clip import ClipTextConfig, ClipTextEncoder
from mugv_jax.nn.text.t5 import T5Config, T5Encoder
from mugv_jax.nn.wan.dit import WanDiTConfig
from mugv_jax.nn.wan.vae import Decoder, WanVAE, WanVAEConfig
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems import wan_windows
from mugv_jax.systems.contentv.system import SYSTEM as CONTENTV
from mugv_jax.systems.enhancer.system import SYSTEM as ENHANCER
from mugv_jax.systems.sizes import WanSize
from tests.cost.memory import compiled
from tests.cost.memory.compiled import (
    LEAST,
    MOST,
    abstract,
    compiled_bytes,
    compiled_step,
    variables,
)

WAN = WanDiTConfig(depth=3, width=384, mlp_dim=1536, num_heads=4, text_dim=64, text_tokens=64)
MMDIT = MMDiTConfig(depth=4, num_heads=8, head_dim=64, text_dim=64, pooled_dim=32)
VAE = WanVAEConfig(width=16, multipliers=(1, 2, 2, 2), layers=1)
T5 = T5Config(vocab_size=512, width=256, head_dim=64, mlp_dim=640, depth=3, num_heads=8)
UMT5 = T5Config(
    vocab_size=512, width=256, head_dim=64, mlp_dim=640, depth=3, num_heads=8, shared_bias=False
)
CLIP = ClipTextConfig(
    vocab_size=512, width=256, mlp_dim=1024, depth=4, num_heads=4, features=128, end=511
)

plan = functools.partial(compiled.plan, size=WanSize)


@pytest.mark.parametrize(
    ("system", "dit"), [(ENHANCER, WAN), (CONTENTV, MMDIT)], ids=["wan", "mmdit"]
)
@pytest.mark.parametrize(
    ("width", "frames", "mesh", "options"),
    [
        (128, 9, None, {}),
        (512, 33, None, {"dtype": jnp.bfloat16, "quantize": "int8"}),
        (512, 33, {"sequence": 2, "tensor": 2}, {}),
    ],
    ids=["small", "eight bits", "mesh"],
)
def test_dit_step_as_compiled(system, dit, width, frames, mesh, options):
    planned = plan(width, width, frames, mesh, **options)
    (stage,) = system.stages({"dit": dit}, planned)
    ratio = stage.total / compiled_step(system, dit, planned.size, mesh, **options)
    assert LEAST <= ratio <= MOST


@pytest.mark.parametrize("mesh", [None, {"sequence": 4}], ids=["one device", "rows"])
def test_vae_as_compiled(mesh):
    planned = plan(128, 128, 9, mesh)
    found = {stage.name: stage for stage in ENHANCER.stages({"vae": VAE}, planned)}
    devices = meshes.make_mesh(mesh)
    weights, vae = variables("wan_vae", VAE, devices), WanVAE(VAE, jnp.float32)
    for method, first, following in (
        ("encode", (1, 1, 128, 128, 3), (1, 4, 128, 128, 3)),
        ("decode", (1, 1, 16, 16, 16), (1, 1, 16, 16, 16)),
    ):
        with meshes.use(devices):
            _, cache = wan_windows._first.eval_shape(vae, method, weights, abstract(first))
            needed = compiled_bytes(
                wan_windows._next, vae, method, weights, cache, abstract(following)
            )
        assert LEAST <= found[f"VAE {method}"].total / needed <= MOST, method


def test_the_enhancers_vae_and_transformer_stay_beside_each_other():
    alone = {
        field: next(ENHANCER.stages({field: config}, plan())).weights
        for field, config in (("vae", VAE), ("dit", WAN), ("text", UMT5))
    }
    models = {"vae": VAE, "dit": WAN, "text": UMT5}
    found = {stage.name: stage.weights for stage in ENHANCER.stages(models, plan())}
    assert found.pop("text encoder") == alone["text"]
    assert set(found.values()) == {alone["vae"] + alone["dit"]}


def test_vae_needs_as_much_for_a_long_video_as_for_a_short_one():
    short, long = (list(ENHANCER.stages({"vae": VAE}, plan(frames=n))) for n in (9, 105))
    assert short == long


def test_a_tile_of_the_vae_needs_as_much_as_a_picture_with_its_halo():
    (_, tiled), (_, whole) = (
        ENHANCER.stages({"vae": VAE}, plan(width=512, height=512, tile_px=px)) for px in (128, None)
    )
    side = 128 + 2 * 8 * Decoder.halo(VAE)
    _, small = ENHANCER.stages({"vae": VAE}, plan(width=side, height=side))
    # The whole picture attends: more than in a small one.
    assert small.activations <= tiled.activations < 0.5 * whole.activations


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize(
    ("system", "field", "config", "module", "tokens"),
    [
        (ENHANCER, "text", UMT5, T5Encoder, 512),
        (CONTENTV, "text", T5, T5Encoder, 256),
        (CONTENTV, "clip_g", CLIP, ClipTextEncoder, 77),
    ],
    ids=["umt5", "t5", "clip"],
)
def test_text_encoders_as_compiled(system, field, config, module, tokens, quantize):
    kind = system.kinds[field]
    weights = variables(kind, config, meshes.make_mesh(), quantize=quantize)
    inputs = [abstract((1, tokens), jnp.int32)]
    if module is T5Encoder:
        inputs.append(abstract((1, tokens), jnp.bool_))
    needed = compiled_bytes(jax.jit(module(config, jnp.float32).apply), weights, *inputs)
    (stage,) = system.stages({field: config}, plan(quantize=quantize))
    assert LEAST <= stage.total / needed <= MOST


def test_every_stage_of_a_system_is_told_in_order():
    names = [stage.name for stage in CONTENTV.stages(contentv(), plan())]
    assert names == ["CLIP", "second CLIP", "T5", "DiT step", "VAE decode"]


def contentv():
    return {"dit": MMDIT, "vae": VAE, "clip_l": CLIP, "clip_g": CLIP, "text": T5}
