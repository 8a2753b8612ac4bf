# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import tiny_decoder_demo, tiny_decoder_mugv
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.vae.tiny import TinyDecoder, TinyDecoderConfig, shift_in_time
from mugv_jax.sharding.mesh import make_mesh, use
from mugv_jax.weights.check import published_shapes
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import MODELS, abstract_variables
from tests.weights.training import save_steps

KIND = "mugv_tiny_decoder"
SMALL = TinyDecoderConfig(
    latent_channels=3,
    width=8,
    layers=1,
    feature_channels=5,
    frame_widths=(4, 2),
    frame_layers=1,
    patch_px=2,
    time_factor=2,
    window_frames=6,
)
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}  # of sums in another order


@pytest.fixture(scope="module")
def decoder():
    module = TinyDecoder(SMALL, jnp.float32)
    return module, random_variables(abstract_variables(KIND, SMALL), seed=0)


def decoded(decoder, latent):
    module, variables = decoder
    return jax.jit(module.apply)(variables, latent)


def test_a_latent_becomes_frames_of_pixels(decoder):
    pixels = decoded(decoder, jnp.ones((2, 3, 4, 5, 3)))
    assert pixels.shape == (2, 6, 32, 40, 3)
    assert pixels.dtype == jnp.float32


def test_channels_come_from_the_frames_around():
    x = jnp.arange(1.0, 4).reshape(1, 3, 1, 1, 1) * jnp.ones((1, 3, 1, 1, 4))
    shifted = shift_in_time(x)[0, :, 0, 0]
    np.testing.assert_array_equal(shifted, [[0, 2, 1, 1], [1, 3, 2, 2], [2, 0, 3, 3]])


def test_a_frame_depends_on_the_latents_beside_its_own_and_on_no_others(decoder):
    latent = jax.random.normal(jax.random.key(1), (1, 5, 3, 3, 3))
    before = decoded(decoder, latent)
    change = jnp.abs(decoded(decoder, latent.at[:, 0].add(1.0)) - before).max((0, 2, 3, 4))
    moved = change > 0
    np.testing.assert_array_equal(moved, [True] * 4 + [False] * 6)


def test_a_pixel_depends_on_its_surroundings_alone(decoder):
    latent = jax.random.normal(jax.random.key(1), (1, 1, 3, 12, 3))
    changed = decoded(decoder, latent.at[:, :, :, 0].add(1.0)) - decoded(decoder, latent)
    columns = jnp.abs(changed).max((0, 1, 2, 4)) > 0
    assert columns[:8].all()
    assert not columns[8 * 7 :].any()


def test_a_mesh_changes_nothing(decoder):
    module, variables = decoder
    latent = jax.random.normal(jax.random.key(1), (1, 2, 5, 4, 3))
    expected = decoded(decoder, latent)
    with use(make_mesh({"data": 2, "sequence": 2, "tensor": 2})):
        found = jax.jit(module.apply)(variables, latent)
    np.testing.assert_allclose(found, expected, **ROUNDING)


def test_weights_are_written_and_identified_again(decoder, tmp_path):
    _, variables = decoder
    run = save_steps(tmp_path / "run", SMALL, {1: {"params": variables["params"]}}, kind=KIND)
    file = tmp_path / "tiny_decoder.safetensors"
    convert(run, file)
    kind, config = read_config(file)
    assert kind == KIND
    # The length of a window leaves no trace in a file: it is that of the published VAE.
    assert config == dataclasses.replace(SMALL, window_frames=TinyDecoderConfig().window_frames)
    _, read = load(file)
    jax.tree.map(np.testing.assert_array_equal, read["params"], variables["params"])


@pytest.mark.parametrize("config", [tiny_decoder_demo, tiny_decoder_mugv], ids=["demo", "mugv"])
def test_sizes_follow_from_the_shapes_of_a_file(config):
    sizes = TinyDecoderConfig(**config.get_config().tiny_decoder)
    model = MODELS[KIND]
    assert model.infer_config(published_shapes(model, sizes)) == sizes
    params = unboxed(abstract_variables(KIND, sizes))["params"]
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    assert f"{count:,} parameters" in config.__doc__
    assert (sizes.time_factor, sizes.spatial_factor) == (8, 8)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"frame_widths": ()}, r"frame_widths=\(\) must be one or more"),
        ({"width": 30}, "width=30 must be a multiple of 4"),
        ({"window_frames": 12}, "window_frames=12 must be a positive multiple of 8"),
        ({"layers": 0}, "layers=0"),
    ],
)
def test_impossible_sizes_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        TinyDecoderConfig(**sizes)
