# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import vae_demo, vae_mugv
from mugv_jax.config import build_group
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.sharding.mesh import make_mesh, use
from mugv_jax.sharding.place import place_batch
from mugv_jax.systems.mugv import windows
from mugv_jax.train.objective import POLICY
from mugv_jax.train.state import join
from mugv_jax.train.train_config import group_classes
from mugv_jax.train.vae.objective import VaeObjective
from mugv_jax.train.vae.reconstruct import decode_features, encode
from mugv_jax.train.vae.run import make_program
from mugv_jax.train.vae.vae_config import VaeTrainConfig, from_config_dict
from mugv_jax.weights.random import random_variables
from mugv_jax.weights.registry import abstract_variables
from tests.train.vae.runs import moving_square, tiny

ROUNDING = 1e-5


@pytest.fixture(scope="module")
def vae():
    config = tiny("clips").vae
    variables = random_variables(abstract_variables("mugv_vae", config), 0)
    return VideoVAE(config, jnp.float32), variables


def objective_of(*overrides):
    return VaeObjective.build(tiny("clips", *overrides), make_mesh())


def pixels(frames):
    rng = np.random.default_rng(frames)
    return jnp.asarray(rng.uniform(-1, 1, (2, frames, 8, 8, 3)), jnp.float32)


@pytest.mark.parametrize("frames", [1, 4, 5])
def test_a_clip_goes_through_as_in_generation(vae, frames):
    module, variables = vae
    x = pixels(frames)
    window = module.config.window_latents

    @jax.jit
    def through(x):
        mean = encode(module, variables, x).mean
        features = decode_features(module, variables, mean, frames, window)
        return (
            module.apply(variables, mean, method="normalize"),
            module.apply(variables, features, method="decode_pixels"),
        )

    latent, y = through(x)
    expected = windows.encode(module, variables, x)
    np.testing.assert_allclose(latent, expected, atol=ROUNDING)
    alone = frames % module.config.time_factor  # the first frame, from a latent of its own
    parts = [expected[:, :alone], expected[:, alone:]]
    parts = [windows.decode(module, variables, part) for part in parts if part.size]
    first = module.config.time_factor - 1 if alone else 0  # it was repeated
    np.testing.assert_allclose(y, np.concatenate(parts, axis=1)[:, first:], atol=1e-4)


def test_windows_are_decoded_apart(vae):
    """A latent changes the frames of its own window, which are all in a window of all."""
    module, variables = vae
    latent = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3, 4, 4, 4)), jnp.float32)

    @functools.partial(jax.jit, static_argnames="window")
    def change(window):
        def features(latent):
            return decode_features(module, variables, latent, 6, window)

        there, other = features(latent), features(latent.at[:, 1].add(1.0))
        return jnp.max(jnp.abs(there - other), axis=(0, 2, 3, 4)) > ROUNDING

    assert change(window=2).tolist() == [True, True, True, True, False, False]
    assert change(window=8).all()


def test_the_balance_is_the_ratio_of_the_last_kernels_gradients(vae):
    """Against derivatives of the whole reconstruction by that kernel."""
    _, variables = vae
    objective = objective_of("loss.gan=0.5", "loss.gan_from=None").at((2, False))
    x = pixels(2)
    frames = jnp.round((x + 1) * 127.5).astype(jnp.uint8)
    batch = {"frames": frames, "step": jnp.zeros(2, jnp.int32)}
    part = objective.prepare(jax.random.key(0), {POLICY: variables}, batch)
    directions = [
        jnp.asarray((i + 1) * np.random.default_rng(i).standard_normal(x.shape), jnp.float32)
        for i in (0, 1)
    ]

    @jax.jit
    def both(variables):
        params = variables["params"]
        layer = params["spatial_decoder"]["conv_out"]

        def moved(kernel):
            decoder = dict(params["spatial_decoder"], conv_out=dict(layer, kernel=kernel))
            changed = dict(variables, params=dict(params, spatial_decoder=decoder))
            (y, _), last = objective._forward({POLICY: changed}, part)
            return [jnp.sum(y * each) for each in directions], last

        grads, last = jax.jacrev(moved, has_aux=True)(layer["kernel"])
        norms = [jnp.linalg.norm(each.ravel()) for each in grads]
        expected = 0.5 * norms[0] / (norms[1] + 1e-4)
        return expected, objective._balance(params, last, *directions)

    expected, found = both(variables)
    assert 0.1 < expected < 10
    assert found == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("part", "rest", "least"),
    [("spatial", ("temporal_", "quant_conv"), 1.5), ("temporal", ("spatial_",), 1.5)],
)
def test_a_half_learns_a_clip_by_heart_and_gradients_reach_all_of_it(vae, part, rest, least):
    config = tiny("clips", f"run.part={part}", f"optimizer.freeze={rest}", "ema.enabled=False",
                  "loss.gan_from=None", "loss.adaptive_from=None")  # fmt: skip
    program = make_program(config, make_mesh({"data": 1}, devices=jax.devices()[:1]))
    clip, loss = moving_square(5)[None], []
    state = program.start(jax.tree.map(np.array, vae[1]))
    with use(program.mesh):
        for step in range(24):
            batch = {"frames": clip, "step": np.array([step], np.int32)}
            state, metrics = program.step(state, place_batch(batch, program.mesh))
            loss.append(float(metrics["loss"]))
    assert np.mean(loss[-5:]) < np.mean(loss[:2]) / least
    silent = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree.leaves_with_path(optax.tree.get(state.opt, "mu"))
        if not np.any(leaf)
    ]
    # A softmax over keys cannot tell a bias that is the same for all of them.
    assert all("attention" in path and "'k'" in path and "bias" in path for path in silent)


def test_every_step_draws_a_window_by_its_number():
    objectives = [objective_of("run.windows=(1,4,8)") for _ in range(2)]
    drawn = [[each.drawn_window(step, 16) for step in range(40)] for each in objectives]
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {1, 4, 8}
    assert {objectives[0].drawn_window(step, 5) for step in range(40)} == {1, 3}, "3 latents"


@pytest.mark.parametrize("of", ["frames", "perceptual_frames"])
def test_a_loss_sees_as_many_frames_as_it_is_allowed(vae, of):
    batch = {"frames": jnp.zeros((2, 5, 8, 8, 3), jnp.uint8), "step": jnp.zeros(2, jnp.int32)}
    seen = {}
    for count in (None, 2, 9):
        objective = objective_of(f"loss.{of}={count}", "loss.gan_from=None")
        parts = [
            objective.prepare(jax.random.key(key), {POLICY: vae[1]}, batch) for key in range(6)
        ]
        drawn = [part.compared if of == "frames" else part.seen for part in parts]
        seen[count] = [rows if rows is None else rows.tolist() for rows in drawn]
    assert seen[None] == seen[9] == [None] * 6  # all of them
    for first, second in seen[2]:
        assert first == second
        assert len(set(first)) == 2
        assert set(first) <= set(range(5))
    assert len({tuple(rows[0]) for rows in seen[2]}) > 1


def test_the_frames_in_the_loss_are_those_that_a_whole_clip_has(vae):
    _, variables = vae
    clips = jnp.stack([jnp.asarray(moving_square(5, seed)) for seed in (0, 1)])
    batch = {"frames": clips, "step": jnp.full(2, 2, jnp.int32)}  # l1 is weighted at step 2
    whole, some = (
        objective_of(f"loss.frames={count}", "loss.gan_from=None").at((2, False))
        for count in (None, 2)
    )

    def reconstructed(objective):
        part = objective.prepare(jax.random.key(0), {POLICY: variables}, batch)
        (y, _), _ = objective._forward({POLICY: variables}, part)
        loss, metrics = objective.loss({POLICY: variables}, part)
        same, gradient_metrics, _ = objective.gradient(
            lambda trained: trained, {POLICY: variables}, part
        )
        assert same == pytest.approx(float(loss), rel=1e-4)
        assert gradient_metrics["l1"] == pytest.approx(float(metrics["l1"]), rel=1e-4)
        return part, y, metrics

    part, expected, _ = reconstructed(whole)
    chosen, y, metrics = reconstructed(some)
    frames = np.asarray(chosen.compared[0])
    np.testing.assert_allclose(y, expected[:, frames], atol=ROUNDING)
    error = np.abs(np.asarray(part.x - expected)[:, frames])
    assert metrics["l1"] == pytest.approx(float(error.mean()), rel=1e-4)
    assert metrics["mse"] == pytest.approx(float(np.square(error).mean()), rel=1e-4)


def test_given_weights_replace_random_ones():
    tree = {"params": {"a": {"x": 1, "y": 2}, "b": 3}}
    given = {"params": {"a": {"x": 10}}}
    assert join(tree, given) == {"params": {"a": {"x": 10, "y": 2}, "b": 3}}


@pytest.mark.parametrize("config", [vae_mugv, vae_demo], ids=["mugv", "demo"])
def test_configs_hold_every_field_and_their_phases_come_in_order(config):
    values = config.get_config()
    built = from_config_dict(values)
    groups = group_classes(VaeTrainConfig)
    assert groups.keys() - values.keys() == {"mesh", "lora"}  # all devices, whole weights
    for name, group in groups.items():
        if name not in values:
            continue
        build_group(name, group, values[name])
        assert set(values[name]) == {field.name for field in dataclasses.fields(group)}, name
    assert 0 < built.loss.adaptive_from < built.loss.gan_from < built.run.steps
    if config is vae_mugv:
        assert built.run.windows == (1, 4, 8)
    assert (built.vae.time_factor, built.vae.spatial_factor) == (8, 8)
    assert built.vae.latent_channels == 24


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("data.frames=1", "frames=1 must be at least 2"),
        ("data.size=(15,16)", "picture of 15x16"),
        ("run.windows=()", r"windows=\(\) must be"),
        ("discriminator_optimizer.freeze=('a',)", "no part of the critic can be frozen"),
        ("run.part=half", "part='half' must be one of whole"),
        ("run.part=temporal", "makes no pixels to judge"),
        ("loss.frames=0", "frames=0 must be at least 1"),
        ("loss.perceptual_frames=0", "perceptual_frames=0 must be at least 1"),
    ],
)
def test_groups_that_do_not_fit_are_refused(field, says):
    with pytest.raises(ValueError, match=says):
        tiny("clips", field)


def test_a_perceptual_network_that_counts_nothing_is_refused():
    with pytest.raises(ValueError, match="has no effect with loss"):
        tiny("clips", "run.perceptual=lpips.pt", "loss.perceptual=0.0")


def test_the_balance_needs_the_last_layer_trained():
    with pytest.raises(ValueError, match="whose gradient balances the GAN"):
        objective_of("optimizer.freeze=('spatial_decoder',)")
