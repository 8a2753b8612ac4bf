# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import vae_demo, vae_mugv
from mugv_jax.config import build_group
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.pipelines import windows
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.train.vae.config import GROUPS, from_config_dict
from mugv_jax.train.vae.program import VaeProgram, _overlaid
from mugv_jax.train.vae.reconstruct import decode_features, encode
from mugv_jax.weights.models import abstract_variables
from mugv_jax.weights.random import random_variables
from tests.train.vae.runs import tiny

ROUNDING = 1e-5


@pytest.fixture(scope="module")
def vae():
    config = tiny("clips").vae
    variables = random_variables(abstract_variables("mugv_vae", config), 0)
    return VideoVAE(config, jnp.float32), variables


def pixels(frames):
    rng = np.random.default_rng(frames)
    return jnp.asarray(rng.uniform(-1, 1, (2, frames, 8, 8, 3)), jnp.float32)


@pytest.mark.parametrize("frames", [1, 4])
def test_a_clip_goes_through_as_in_generation(vae, frames):
    module, variables = vae
    x = pixels(frames)
    window = (module.config.window_latents,)

    @jax.jit
    def through(x):
        mean = encode(module, variables, x).mean
        features = decode_features(module, variables, mean, frames, window, jnp.int32(0))
        return (
            module.apply(variables, mean, method="normalize"),
            module.apply(variables, features, method="decode_pixels"),
        )

    latent, y = through(x)
    expected = windows.encode(module, variables, x)
    np.testing.assert_allclose(latent, expected, atol=ROUNDING)
    np.testing.assert_allclose(y, windows.decode(module, variables, expected, frames), atol=1e-4)


def test_windows_are_decoded_apart(vae):
    """A window of one latent does not see its neighbour; one of two does."""
    module, variables = vae
    latent = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3, 4, 4, 4)), jnp.float32)

    @jax.jit
    def change(drawn):
        def features(latent):
            return decode_features(module, variables, latent, 6, (1, 2, 8), drawn)

        there, other = features(latent), features(latent.at[:, 1].add(1.0))
        return jnp.max(jnp.abs(there - other), axis=(0, 2, 3, 4)) > ROUNDING

    assert change(jnp.int32(0)).tolist() == [False, False, True, True, False, False]
    assert change(jnp.int32(1)).tolist() == [True, True, True, True, False, False]
    assert change(jnp.int32(2)).all()


def test_the_balance_is_the_ratio_of_the_last_kernels_gradients():
    """Against derivatives of the whole reconstruction by that kernel."""
    config = tiny("clips", "loss.gan=0.5", "run.windows=(2,)", "vae.spatial_channels=(32,32)")
    step = VaeProgram(config, make_mesh()).step.__wrapped__
    state = VaeProgram(config, make_mesh()).start({})
    x = pixels(2)
    directions = [jnp.asarray(np.random.default_rng(i).standard_normal(x.shape)) for i in (0, 1)]
    directions = [
        jnp.float32(i + 1) * each.astype(jnp.float32) for i, each in enumerate(directions)
    ]

    @jax.jit
    def both(state):
        layer = state.params["spatial_decoder"]["conv_out"]

        def moved(kernel):
            decoder = dict(state.params["spatial_decoder"], conv_out=dict(layer, kernel=kernel))
            params = dict(state.params, spatial_decoder=decoder)
            (y, _), last = step._forward(params, state, x, jax.random.key(0))
            return [jnp.sum(y * each) for each in directions], last

        grads, last = jax.jacrev(moved, has_aux=True)(layer["kernel"])
        norms = [jnp.linalg.norm(each.ravel()) for each in grads]
        return 0.5 * norms[0] / (norms[1] + 1e-4), step._balance(state.params, last, *directions)

    expected, found = both(state)
    assert 0.1 < expected < 10
    assert found == pytest.approx(float(expected), rel=1e-4)


def test_a_perceptual_network_counts_and_a_broken_step_changes_nothing():
    def broken(x, y):
        return jnp.mean(jnp.square(x - y)) * jnp.nan

    config = tiny("clips", "loss.gan_from=None", "run.windows=(2,)")
    program = VaeProgram(config, make_mesh(), broken)
    state = program.start({})
    before = jax.device_get(state)
    batch = {"frames": jnp.zeros((2, 1, 16, 16, 3), jnp.uint8)}
    after, metrics = program.step(state, batch)
    assert np.isnan(metrics["perceptual"])
    assert metrics["skipped"] == 1
    jax.tree.map(np.testing.assert_array_equal, after.params, before.params)
    jax.tree.map(np.testing.assert_array_equal, after.opt, before.opt)


def test_given_weights_replace_random_ones():
    tree = {"params": {"a": {"x": 1, "y": 2}, "b": 3}, "unused": {}}
    given = {"params": {"a": {"x": 10}}}
    assert _overlaid(tree, given) == {"params": {"a": {"x": 10, "y": 2}, "b": 3}, "unused": {}}


@pytest.mark.parametrize("config", [vae_mugv, vae_demo], ids=["mugv", "demo"])
def test_configs_hold_every_field_and_their_phases_come_in_order(config):
    values = config.get_config()
    built = from_config_dict(values)
    for name, group in GROUPS.items():
        build_group(name, group, values[name])
        assert set(values[name]) == {field.name for field in dataclasses.fields(group)}, name
    assert 0 < built.loss.adaptive_from < built.loss.gan_from < built.run.steps
    assert built.run.windows == (1, 4, 8)
    assert (built.vae.time_factor, built.vae.spatial_factor) == (8, 8)
    assert built.vae.latent_channels == 24


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("data.frames=1", "frames=1 must be at least 2"),
        ("data.size=(15,16)", "picture of 15x16"),
        ("run.windows=()", r"windows=\(\) must be"),
        ("discriminator_optimizer.freeze=('a',)", "trained whole"),
    ],
)
def test_groups_that_do_not_fit_are_refused(field, says):
    with pytest.raises(ValueError, match=says):
        tiny("clips", field)


def test_the_balance_needs_the_last_layer_trained():
    with pytest.raises(ValueError, match="whose gradient balances the GAN"):
        VaeProgram(tiny("clips", "optimizer.freeze=('spatial_decoder',)"), make_mesh())
