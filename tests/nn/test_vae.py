# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import einops
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D

from configs import vae_demo
from mugv_jax.nn.vae import spatial
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.sizes import VAEConfig, norm_groups
from mugv_jax.sharding.mesh import make_mesh, use
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables

# The published code itself is 1e-6 to 3e-6 away from a float64 evaluation.
PARITY = 1e-5

TINY = VAEConfig(
    spatial_channels=(8, 8),
    spatial_layers=1,
    temporal_filters=8,
    temporal_multipliers=(1, 1),
    temporal_layers=1,
    latent_channels=3,
    window_frames=4,
)


def relative_error(actual, expected) -> float:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def ours(published: np.ndarray) -> jax.Array:
    return jnp.asarray(einops.rearrange(published, "b c f h w -> b f h w c"))


@functools.partial(jax.jit, static_argnames=("vae", "method"))
def run(vae, variables, x, method):
    return vae.apply(variables, x, method=method)


def test_wide_blocks_agree_with_diffusers():
    """The golden case is too narrow for the CPU's fast convolutions; these blocks are not."""
    torch.manual_seed(0)
    reference = ResnetBlock2D(
        in_channels=128, out_channels=256, temb_channels=None, eps=spatial.EPSILON
    ).double()
    x = torch.randn(1, 128, 33, 40, dtype=torch.float64)
    with torch.no_grad():
        expected = einops.rearrange(reference(x, None).numpy(), "b c h w -> b h w c")
    leaves = {name: jnp.asarray(t.float().numpy()) for name, t in reference.state_dict().items()}
    params = {}
    for name, ours in (("norm1", "norm_1"), ("norm2", "norm_2")):
        params[ours] = {"scale": leaves[f"{name}.weight"], "bias": leaves[f"{name}.bias"]}
    for name, ours in (("conv1", "conv_1"), ("conv2", "conv_2"), ("conv_shortcut", "shortcut")):
        kernel = einops.rearrange(leaves[f"{name}.weight"], "o i h w -> h w i o")
        params[ours] = {"kernel": kernel, "bias": leaves[f"{name}.bias"]}
    conv = functools.partial(spatial.Conv2d, dtype=jnp.float32)
    norm = functools.partial(spatial.GroupNorm, spatial.EPSILON)
    block = spatial.ResBlock(256, conv=conv, norm=norm)
    y = jax.jit(block.apply)(
        {"params": params}, jnp.asarray(einops.rearrange(x.float().numpy(), "b c h w -> b h w c"))
    )
    assert relative_error(y, expected) < PARITY


def test_groups_of_frames_are_encoded_alone_and_a_rest_is_zero_padded_in_front():
    vae = VideoVAE(TINY, jnp.float32)
    variables = random_variables(abstract_variables("mugv_vae", TINY), seed=0)
    features = jax.random.normal(jax.random.key(2), (2, 5, 3, 2, 8))
    mean, _ = run(vae, variables, features, "encode_moments")
    padded = jnp.pad(features, ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0)))
    for group in range(3):
        alone, _ = run(vae, variables, padded[:, 2 * group : 2 * group + 2], "encode_moments")
        np.testing.assert_allclose(mean[:, group], alone[:, 0], rtol=1e-4, atol=1e-5)


def test_a_mesh_changes_nothing_even_where_it_does_not_divide():
    vae = VideoVAE(TINY, jnp.float32)
    pixels = jax.random.normal(jax.random.key(0), (1, 6, 10, 4, 3))
    variables = random_variables(abstract_variables("mugv_vae", TINY), seed=0)
    reconstruct = jax.jit(lambda variables, x: vae.apply(variables, x))
    expected = reconstruct(variables, pixels)
    with use(make_mesh({"data": 2, "sequence": 2, "tensor": 2})):
        text = jax.jit(lambda variables, x: vae.apply(variables, x)).lower(variables, pixels)
        assert "sharding_constraint" in text.as_text()
        found = text.compile()(variables, pixels)
    assert relative_error(found, expected) < PARITY


def test_a_picture_off_the_grid_is_refused_with_the_nearest_size():
    vae = VideoVAE(TINY, jnp.float32)
    with pytest.raises(ValueError, match=r"5x4 pixels.*multiples of 2.*nearest size is 4x4"):
        vae.init(jax.random.key(0), jnp.zeros((1, 2, 4, 5, 3)))


@pytest.mark.parametrize(
    ("widths", "groups"),
    [((128, 256, 512), 32), ((32, 64), 32), ((16, 32, 64), 4), ((4, 8), 1), ((3, 5), 1)],
)
def test_narrow_networks_have_fewer_groups(widths, groups):
    assert norm_groups(*widths) == groups


def test_groups_are_those_of_the_narrowest_layer_of_both_halves():
    config = VAEConfig(spatial_channels=(64, 64), temporal_filters=16)
    assert config.norm_groups == 4
    assert VAEConfig().norm_groups == 32


def test_the_demos_narrow_vae_compresses_as_the_published_one():
    config = VAEConfig(**vae_demo.get_config().vae)
    vae = VideoVAE(config, jnp.float32)
    pixels = jax.ShapeDtypeStruct((1, 16, 64, 48, 3), jnp.float32)
    init = functools.partial(vae.init, jax.random.key(0))

    def latent(variables, pixels):
        features = vae.apply(variables, pixels, method="encode_features")
        return vae.apply(variables, features, method="encode_moments")[0]

    encoded = jax.eval_shape(latent, jax.eval_shape(init, pixels), pixels)
    assert encoded.shape == (1, 2, 8, 6, 24)


@pytest.mark.parametrize(
    ("method", "shape", "half"),
    [
        ("decode_features", (1, 1, 8, 10, 24), "temporal_decoder"),
        ("decode_features", (1, 2, 8, 10, 24), "temporal_decoder"),
        ("decode_pixels", (1, 4, 8, 10, 64), "spatial_decoder"),
    ],
)
def test_decoding_the_demos_small_frames_compiles_one_convolution_a_layer(method, shape, half):
    """Each further convolution or kernel of its own would be compiled anew for every size."""
    config = VAEConfig(**vae_demo.get_config().vae)
    variables = abstract_variables("mugv_vae", config)
    latent = jax.ShapeDtypeStruct(shape, jnp.float32)
    program = run.lower(VideoVAE(config, jnp.float32), variables, latent, method).as_text()
    kernels = [leaf.shape for leaf in jax.tree.leaves(variables["params"][half]) if leaf.ndim > 2]
    windows = [shape for shape in kernels if shape[0] == 3]
    assert len(windows) > 5
    assert program.count("stablehlo.convolution") == len(windows)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"temporal_filters": 48}, "width of 48 channels .* multiple of 32"),
        ({"spatial_channels": (16, 18, 32)}, "16 channels in the narrowest .* has 4 groups"),
        ({"spatial_channels": (128,)}, "at least 2 entries"),
        ({"temporal_layers": 0}, "temporal_layers=0"),
        ({"window_frames": 12}, "multiple of 8"),
        ({"scaling_factor": 0.0}, "must be positive"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        VAEConfig(**sizes)
