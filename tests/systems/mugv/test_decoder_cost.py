# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools
import math

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from configs import tiny_decoder_demo, vae_demo
from mugv_jax.cost.memory.plan import Plan
from mugv_jax.kernels import select
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.nn.vae.tiny import TinyDecoder, TinyDecoderConfig
from mugv_jax.sharding.mesh import abstract_mesh
from mugv_jax.systems.mugv.cost import vae_decode
from mugv_jax.systems.mugv.decoder_cost import decoder_forward, tiny_decode, tiny_forward
from mugv_jax.systems.mugv.size import VideoSize
from mugv_jax.weights.registry import abstract_variables

WINDOW = (6, 90, 160)  # latents of 48 frames of 1280x720
FEWER = 20  # bar for the published sizes: operations, weights, activations


def products(jaxpr):
    """2 x multiplications of all convolutions and products of matrices."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            out = equation.outvars[0].aval.shape
            total += 2 * math.prod(kernel[:-1]) * math.prod(out)
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            depth = math.prod(shape[axis] for axis in contracted)
            total += 2 * depth * math.prod(equation.outvars[0].aval.shape)
        times = equation.params.get("length", 1)
        total += times * sum(map(products, jaxprs_in_params(equation.params)))
    return total


def traced(module, kind, shape):
    """Operations of decoding a window, from the program as accelerators run it."""

    def decode(variables, latent):
        features = module.apply(variables, latent, method="decode_features")
        return module.apply(variables, features, method="decode_pixels")

    latent = jax.ShapeDtypeStruct((1, *shape, module.config.latent_channels), jnp.float32)
    return products(jax.make_jaxpr(decode)(abstract_variables(kind, module.config), latent).jaxpr)


def test_counts_are_those_of_the_traced_decoders(monkeypatch):
    monkeypatch.setattr(select, "platform", lambda: "gpu")
    shape = (3, 4, 5)
    full = VAEConfig(
        spatial_channels=(8, 8, 16),
        spatial_layers=1,
        temporal_filters=8,
        temporal_multipliers=(1, 2, 3),
        temporal_layers=2,
        latent_channels=5,
    )
    tiny = TinyDecoderConfig(latent_channels=5, width=8, layers=2, frame_widths=(6, 4), patch_px=1)
    found = traced(VideoVAE(full, jnp.float32), "mugv_vae", shape)
    assert decoder_forward(full, shape) == found
    found = traced(TinyDecoder(tiny, jnp.float32), "mugv_tiny_decoder", shape)
    assert tiny_forward(tiny, shape) == found


def test_the_tiny_decoder_of_the_published_vae_is_far_cheaper():
    full, tiny = VAEConfig(), TinyDecoderConfig()
    assert decoder_forward(full, WINDOW) >= FEWER * tiny_forward(tiny, WINDOW)
    weights = functools.partial(_parameters, within=("temporal_decoder", "spatial_decoder"))
    assert weights("mugv_vae", full) >= FEWER * _parameters("mugv_tiny_decoder", tiny)


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_its_activations_are_far_smaller(platform):
    plan = Plan(
        size=VideoSize(width_px=1280, height_px=720, frames=105),
        mesh=abstract_mesh({}),
        platform=platform,
        dtype=jnp.dtype("float32" if platform == "cpu" else "bfloat16"),
    )
    assert vae_decode(VAEConfig(), plan) >= FEWER * tiny_decode(TinyDecoderConfig(), plan)


def test_the_demos_tiny_decoder_is_cheaper_by_far():
    full = VAEConfig(**vae_demo.get_config().vae)
    tiny = TinyDecoderConfig(**tiny_decoder_demo.get_config().tiny_decoder)
    assert decoder_forward(full, (2, 8, 8)) > 15 * tiny_forward(tiny, (2, 8, 8))


def _parameters(kind, config, within=None):
    params = unboxed(abstract_variables(kind, config))["params"]
    chosen = params if within is None else {name: params[name] for name in within}
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(chosen))
