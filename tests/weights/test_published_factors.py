# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Values of a config that a published file cannot state are expressed in its weights."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load
from mugv_jax.weights.tables.mugv_vae import published_factors
from tests.systems.mugv.folders import write_run

TINY = VAEConfig(
    spatial_channels=(4, 8),
    spatial_layers=1,
    temporal_filters=4,
    temporal_multipliers=(1, 2),
    temporal_layers=1,
    latent_channels=3,
    scaling_factor=1.5,
)


def test_another_scaling_factor_is_expressed_in_published_weights(tmp_path):
    run = write_run(tmp_path / "run", "mugv_vae", TINY)
    convert(run, tmp_path / "vae.safetensors", kind="mugv_vae", ema=True)
    config, variables = load(run, "mugv_vae", ema=True)
    told, published = load(tmp_path / "vae.safetensors", "mugv_vae")
    assert config == TINY
    assert told == dataclasses.replace(TINY, scaling_factor=VAEConfig.scaling_factor)
    pixels = jax.random.normal(jax.random.key(0), (1, 2, 4, 4, 3))
    wanted = jax.jit(VideoVAE(config, jnp.float32).apply)(variables, pixels)
    found = jax.jit(VideoVAE(told, jnp.float32).apply)(published, pixels)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert published_factors(told) == {}
