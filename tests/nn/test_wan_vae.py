# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import einops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from mugv_jax import golden
from mugv_jax.nn.wan import streaming
from mugv_jax.nn.wan.vae import WanVAE, WanVAEConfig
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.nn.test_vae import PARITY, relative_error
from tests.weights.checkpoints import GOLDEN

CASE = GOLDEN.parent / "enhancer" / "wan_vae_tiny.json"
# All sizes differ from the published ones.
SMALL = WanVAEConfig(
    width=8, multipliers=(1, 2, 3), layers=1, latent_channels=5, halve_time=(True, True)
)


@pytest.fixture(scope="module")
def small():
    variables = random_variables(abstract_variables("wan_vae", SMALL), 3)
    return WanVAE(SMALL, jnp.float32), variables


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def at_once(vae, variables, x, method):
    return vae.apply(variables, x, method=method)


def test_golden_numbers_at_once_and_in_parts():
    outputs = golden.kinds()["wan_vae"](golden.read_case(CASE, jnp.float32))
    assert len(outputs) == 4
    for name, (ours, reference) in outputs.items():
        assert relative_error(ours, reference) < PARITY, name


@pytest.mark.parametrize("latents", [1, 4])
def test_parts_are_the_whole(small, latents):
    vae, variables = small
    x = draw(2, 4 * latents - 3, 12, 20, 3)
    z = at_once(vae, variables, x, "encode")
    assert z.shape == (2, latents, 3, 5, 5)
    np.testing.assert_allclose(jax.jit(streaming.encode, static_argnums=0)(vae, variables, x), z,
                               atol=1e-5)  # fmt: skip
    y = at_once(vae, variables, z, "decode")
    assert y.shape == x.shape
    parts = jax.jit(streaming.decode, static_argnums=0)(vae, variables, z)
    assert relative_error(parts, y) < PARITY


def test_a_frame_depends_on_no_later_one(small):
    vae, variables = small
    z = draw(1, 3, 2, 2, 5)
    y, other = (at_once(vae, variables, each, "decode") for each in (z, z.at[:, 2].add(1.0)))
    changed = jnp.max(jnp.abs(y - other), axis=(0, 2, 3, 4)) > 0
    assert changed.tolist() == [False] * 5 + [True] * 4


@pytest.mark.parametrize(("method", "axis"), [("encode", 3), ("decode", 5)])
def test_memory_does_not_grow_with_the_video(small, method, axis):
    """Memory beside input and output; `axis` is the number of input channels."""
    vae, variables = small

    def temporary(count):
        side = 16 if method == "encode" else 4
        x = jax.ShapeDtypeStruct((1, count, side, side, axis), jnp.float32)
        function = functools.partial(getattr(streaming, method), vae)
        compiled = jax.jit(function).lower(variables, x).compile()
        memory = compiled.memory_analysis()
        return memory.temp_size_in_bytes - memory.output_size_in_bytes

    short, long = (9, 125) if method == "encode" else (3, 32)
    growth = temporary(long) - temporary(short)
    moved = 4 * 16 * 16 * 3 * (125 - 9)  # bytes of the pixels: parts are laid out once more
    assert growth <= 2 * moved


def test_diffusers_gives_the_same(tmp_path):
    torch.manual_seed(0)
    published = {"base_dim": 8, "z_dim": 4, "dim_mult": [1, 2, 2], "num_res_blocks": 1,
                 "temperal_downsample": [True, False]}  # fmt: skip
    theirs = AutoencoderKLWan(**published, latents_mean=[0.0] * 4, latents_std=[1.0] * 4).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    tensors = {name: value.numpy() for name, value in theirs.state_dict().items()}
    case = golden.Case(
        path=tmp_path / "case.json",
        spec={
            "kind": "wan_vae_diffusers",
            "config": published,
            "tensors": {name: value.shape for name, value in tensors.items()},
        },
        arrays={},
        dtype=jnp.float32,
    )
    vae, variables = golden.build(case, lambda name, shape: tensors[name].reshape(shape))
    x = draw(1, 5, 16, 24, 3)
    frames = torch.from_numpy(einops.rearrange(np.array(x), "b f h w c -> b c f h w"))
    with torch.no_grad():
        mean = theirs.encode(frames).latent_dist.mean
        decoded = theirs.decode(mean).sample
    ours = at_once(vae, variables, x, "encode_mean")
    z = einops.rearrange(mean.numpy(), "b c f h w -> b f h w c")
    assert relative_error(ours, z) < PARITY
    y = streaming.decode(vae, variables, jnp.asarray(z), method="decode_mean")
    expected = einops.rearrange(decoded.numpy(), "b c f h w -> b f h w c")
    assert relative_error(jnp.clip(y, -1, 1), expected) < PARITY


@pytest.mark.parametrize("frames", [2, 4, 8])
def test_frames_that_make_no_latent_are_refused(small, frames):
    with pytest.raises(ValueError, match=rf"{frames} frames must be 4 k \+ 1: cut some"):
        streaming.encode(*small, draw(1, frames, 4, 4, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width=0 must be at least 1"),
        ({"multipliers": (1,), "halve_time": ()}, "must be two or more"),
        ({"halve_time": (True,)}, "one entry for every one of"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        WanVAEConfig(**change)
