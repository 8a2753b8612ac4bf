# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from flax import traverse_util

from mugv_jax.nn.vae.sizes import VAEConfig
from mugv_jax.nn.vae.spatial import SpatialDecoder, SpatialEncoder
from mugv_jax.weights.check import variable_shapes
from mugv_jax.weights.picture_vae import load_picture_vae
from mugv_jax.weights.registry import MODELS

SINGLE = 1e-5
CONFIG = VAEConfig(
    spatial_channels=(8, 16), spatial_layers=1, temporal_filters=8, temporal_multipliers=(1, 1)
)


@pytest.fixture(scope="module")
def picture_vae(tmp_path_factory):
    """A picture VAE of `diffusers` with random weights, and its folder."""
    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=CONFIG.spatial_channels,
        layers_per_block=CONFIG.spatial_layers,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=CONFIG.norm_groups,
    )
    folder = tmp_path_factory.mktemp("weights") / "picture"
    model.save_pretrained(folder)
    return model, folder


def published(array):
    return torch.from_numpy(np.asarray(array).transpose(0, 3, 1, 2).copy())


def test_the_spatial_half_computes_what_the_picture_vae_does(picture_vae):
    model, folder = picture_vae
    params = load_picture_vae(folder, CONFIG)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-1, 1, (2, 8, 12, 3)).astype(np.float32)
    features = rng.standard_normal((2, 4, 6, 16)).astype(np.float32)
    with torch.no_grad():
        x = model.encoder.conv_in(published(pixels))
        for block in model.encoder.down_blocks:
            x = block(x)
        encoded = model.encoder.mid_block(x)
        x = model.decoder.mid_block(published(features))
        for block in model.decoder.up_blocks:
            x = block(x)
        decoded = model.decoder.conv_out(torch.nn.functional.silu(model.decoder.conv_norm_out(x)))
    for module, name, given, expected in (
        (SpatialEncoder, "spatial_encoder", pixels, encoded),
        (SpatialDecoder, "spatial_decoder", features, decoded),
    ):
        apply = jax.jit(module(CONFIG, jnp.float32).apply)
        found = apply({"params": params[name]}, jnp.asarray(given))
        expected = expected.numpy().transpose(0, 2, 3, 1)
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < SINGLE, name


def test_every_spatial_parameter_is_loaded(picture_vae):
    params = traverse_util.flatten_dict(load_picture_vae(picture_vae[1], CONFIG), sep="/")
    shapes = variable_shapes(MODELS["mugv_vae"], CONFIG)
    assert {f"params/{path}": array.shape for path, array in params.items()} == {
        path: shape for path, shape in shapes.items() if path.startswith("params/spatial_")
    }


def test_another_architecture_is_refused_with_all_differences(picture_vae):
    other = VAEConfig(
        spatial_channels=(8, 8, 16),
        spatial_layers=1,
        temporal_filters=8,
        temporal_multipliers=(1, 1),
    )
    with pytest.raises(ValueError, match="no picture VAE for spatial_channels=") as error:
        load_picture_vae(picture_vae[1], other)
    assert "encoder.down_blocks.2.resnets.0.conv1.weight" in str(error.value)
    assert "misshapen: " in str(error.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        load_picture_vae(tmp_path / "none.safetensors", CONFIG)
