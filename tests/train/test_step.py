# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mugv_jax.flow.path import interpolate
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import place_batch
from mugv_jax.systems.system import find
from mugv_jax.train.diffusion import make_program
from mugv_jax.train.loss import LossConfig, draw_times, velocity_loss
from mugv_jax.train.noising import NULL_TEXT, NullText
from mugv_jax.train.objectives.flow_matching import FlowMatching, Settings
from mugv_jax.train.state import new_state
from mugv_jax.train.step import Step
from mugv_jax.train.tasks import TASKS, TaskConfig
from tests.flow.denoisers import denoiser
from tests.train.runs import CONTENTV, MUGV, TEXT_DIM, tiny

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
TASK_CONFIG = TaskConfig(probability={"t2v": 0.5, "i2v": 0.5}, drop_caption={"t2v": 0.5})
ROWS, TOKENS = 8, 6


def batch_of(seed=0, shape=(3, 4, 4)):
    return jax.tree.map(jnp.asarray, numpy_batch(seed, shape))


def numpy_batch(seed=0, shape=(3, 4, 4), system=MUGV):
    rng = np.random.default_rng(seed)
    return {
        "latent": rng.standard_normal((ROWS, *shape, system.channels)).astype(np.float32),
        "text": rng.standard_normal((ROWS, TOKENS, system.text_dim)).astype(np.float32),
        "text_mask": np.arange(TOKENS)[None] < rng.integers(1, TOKENS + 1, (ROWS, 1)),
        "fps": rng.uniform(8, 30, ROWS).astype(np.float32),
        "sample": np.arange(ROWS, dtype=np.int32),
    }


def null_text(width=TEXT_DIM):
    mask = np.zeros(TOKENS, bool)
    mask[0] = True
    return NullText(text=np.full((TOKENS, width), 0.5, np.float32), text_mask=mask)


def program_of(*overrides, system=MUGV):
    config = tiny("unread", *overrides, system=system)
    count = int(np.prod([getattr(config.mesh, axis) or 1 for axis in meshes.AXES]))
    mesh = config.mesh.make_mesh(jax.devices()[:count])
    return make_program(config, mesh, null_text(system.text_dim))


@functools.cache
def first_state(system=MUGV):
    """The plain program's state, on the host."""
    return jax.device_get(program_of(system=system).start({}))


def run(program, state=None, steps=2, system=MUGV):
    """(losses, state) after some steps."""
    state = jax.device_put(first_state(system) if state is None else state, program.shardings)
    losses = []
    with meshes.use(program.mesh), jax.default_matmul_precision("highest"):
        for step in range(steps):
            rows = place_batch(numpy_batch(step, system=system), program.mesh)
            state, metrics = program.step(state, rows)
            losses.append(float(metrics["loss"]))
    return losses, jax.device_get(state)


def distance(ours, reference):
    off = jax.tree.map(lambda a, b: a - b, ours, reference)
    return float(optax.tree.norm(off) / optax.tree.norm(reference))


@functools.cache
def run_alone(system=MUGV):
    return run(program_of(system=system), system=system)


@pytest.fixture(scope="module")
def alone():
    return run_alone()


# Every axis with another; other meshes are in the tests of the models' gradients.
@pytest.mark.parametrize(
    ("system", "mesh"),
    [
        (MUGV, "fsdp=2,tensor=2,sequence=2"),
        (MUGV, "data=2,pipeline=2"),
        (CONTENTV, "fsdp=2,tensor=2,sequence=2"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.config.stem,
)
def test_a_step_is_the_same_on_every_mesh(system, mesh):
    expected_losses, expected = run_alone(system)
    overrides = [f"mesh.{each}" for each in mesh.split(",")]
    if "pipeline" in mesh:
        overrides.append("mesh.microbatches=4")
    losses, state = run(program_of(*overrides, system=system), system=system)
    assert losses == pytest.approx(expected_losses, rel=SHARDED)
    assert distance(state.params, expected.params) <= SHARDED
    assert distance(state.ema, expected.ema) <= SHARDED


def test_accumulated_microbatches_make_the_same_step(alone):
    losses, state = run(program_of("run.accumulate=4", "mesh.data=2"))
    assert losses == pytest.approx(alone[0], rel=SHARDED)
    assert distance(state.params, alone[1].params) <= SHARDED


def test_noise_text_and_target_are_those_of_the_published_loss():
    batch, config = batch_of(), LossConfig()
    key = jax.random.key(5)
    noised = prepare(key, batch, config)
    condition, task, noised = noised.condition, noised.task, noised.sample
    t = noised.t
    noise = batch["latent"] - noised.target
    x_t, target = interpolate(jnp.asarray(batch["latent"]), noise, t)
    np.testing.assert_allclose(noised.x_t, x_t, atol=1e-6)
    np.testing.assert_allclose(noised.target, target, atol=1e-6)
    given = ~np.asarray(noised.noisy)
    assert given.any()
    assert (np.asarray(t)[given] == 0).all()
    np.testing.assert_array_equal(np.asarray(noised.x_t)[given], batch["latent"][given])
    assert abs(float(jnp.std(noise)) - 1) < 0.05
    dropped = (np.asarray(condition["text"]) == 0.5).all(axis=(1, 2))
    assert 0 < dropped.sum() < ROWS
    assert not dropped[np.asarray(task) == TASKS.index("i2v")].all()
    kept = ~dropped
    np.testing.assert_array_equal(condition["text"][kept], batch["text"][kept])
    np.testing.assert_array_equal(condition["text_mask"][kept], batch["text_mask"][kept])


def test_times_are_shifted_towards_noise_for_larger_videos():
    key, shapes = jax.random.key(0), ((1, 64, 64), (14, 90, 160))
    small, large = (
        float(jnp.mean(draw_times(key, 4096, linear_objective().shift(shape), LossConfig())))
        for shape in shapes
    )
    assert small == pytest.approx(0.5, abs=0.02)
    assert large > 0.8
    plain = LossConfig(times="uniform", shift=False)
    assert linear_objective(plain).shift(shapes[1]) == 1
    u = np.sort(np.asarray(draw_times(key, 4096, 1.0, plain)))
    np.testing.assert_allclose(u, np.linspace(0, 1, 4096), atol=0.03)


def test_the_loss_of_pictures_weighs_what_the_config_says():
    pictures = batch_of(shape=(1, 4, 4))
    noised = prepare(jax.random.key(0), pictures)
    np.testing.assert_allclose(noised.weight, 0.3)
    assert (np.asarray(noised.task) == 0).all()


def linear_objective(loss=None):
    """Flow matching of a model with one parameter, v = w x_t."""
    return FlowMatching(
        kind="mugv_dit",
        sizes=None,
        system=find("mugv"),
        module=nn.Dense(1),
        denoiser=denoiser(lambda variables, x, _t, _condition: variables["w"] * x),
        tasks=TASK_CONFIG,
        loss_config=loss or LossConfig(),
        settings=Settings(),
        text_tokens=TOKENS,
    )


def prepare(key, batch, loss=None):
    return linear_objective(loss).prepare(key, {NULL_TEXT: null_text()}, batch)


def linear_step(**fields):
    """A step of `linear_objective` under plain descent."""
    return Step(
        objective=linear_objective(),
        policies=lambda trained, _: dict(trained, null_text=null_text()),
        optimizer=optax.sgd(0.1),
        schedule=lambda step: 0.1 * step.astype(jnp.float32),
        **fields,
    )


def linear_state(optimizer, ema=True):
    return new_state({"w": jnp.float32(2.0)}, {}, optimizer, ema=ema, seed=7)


def test_gradient_average_and_metrics_are_those_worked_out_by_hand():
    step = linear_step(ema_decay=0.5)
    state = linear_state(step.optimizer)
    batch = batch_of()
    key = jax.random.fold_in(jax.random.key(7), 0)
    noised = prepare(key, batch)
    noised = noised.sample
    loss_of = lambda w: velocity_loss(w * noised.x_t, noised.target, noised.noisy)  # noqa: E731
    gradient = jax.grad(lambda w: jnp.mean(loss_of(w)))(2.0)
    after, metrics = jax.jit(step)(state, batch)
    assert float(after.params["w"]) == pytest.approx(2 - 0.1 * float(gradient), rel=1e-5)
    decay = 0.1  # (1 + 0) / (10 + 0), below 0.5
    expected = decay * 2 + (1 - decay) * float(after.params["w"])
    assert float(after.ema["w"]) == pytest.approx(expected, rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(float(jnp.mean(loss_of(2.0))), rel=1e-5)
    assert float(metrics["grad_norm"]) == pytest.approx(abs(float(gradient)), rel=1e-5)
    assert float(jnp.sum(metrics["task_count"])) == ROWS
    total = float(jnp.sum(metrics["task_loss"]))
    assert total == pytest.approx(float(jnp.sum(loss_of(2.0))), rel=1e-5)
    again, _ = jax.jit(step)(after, batch)
    assert int(again.step) == 2
    assert float(again.params["w"]) != float(after.params["w"])  # another step's noise


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_with_broken_numbers_changes_nothing_and_is_counted(bad):
    step = linear_step(ema_decay=0.5)
    state = linear_state(step.optimizer)
    batch = batch_of()
    batch["latent"] = batch["latent"].at[3, 1, 2, 1, 5].set(bad)
    after, metrics = jax.jit(step)(state, batch)
    assert float(after.params["w"]) == float(after.ema["w"]) == 2.0
    assert (int(after.step), int(after.skipped)) == (1, 1)
    assert int(metrics["skipped"]) == 1
    good, metrics = jax.jit(step)(after, batch_of())
    assert float(good.params["w"]) != 2.0
    assert float(metrics["learning_rate"]) == 0.0  # no update had been taken before


def test_frozen_parameters_stay_and_have_no_moments():
    program = program_of(
        "optimizer.freeze=('^text_embed/', 'cross_attention')", "ema.enabled=False"
    )
    before = jax.device_get(program.start({"params": first_state().params}))
    _, after = run(program, before, steps=1)
    assert distance(after.frozen, before.frozen) == 0
    assert distance(after.params, before.params) > 0
    assert "text_embed" in after.frozen
    assert "text_embed" not in after.params
    assert "cross_attention" not in after.opt[1].mu["blocks"]
    assert after.ema is None


@pytest.mark.parametrize(
    ("freeze", "message"),
    [("no_such", "'no_such' is found in no parameter's path"), (".", "leaves no parameter")],
)
def test_patterns_that_freeze_nothing_or_everything_are_refused(freeze, message):
    with pytest.raises(ValueError, match=message):
        program_of(f"optimizer.freeze=('{freeze}',)")


def test_low_rank_updates_start_at_the_weights_and_leave_them_alone(alone):
    program = program_of("lora.rank=2", "ema.enabled=False")
    before = jax.device_get(program.start({"params": first_state().params}))
    losses, after = run(program, before)
    assert losses[0] == pytest.approx(alone[0][0], rel=SHARDED)
    assert losses[1] != pytest.approx(alone[0][1], rel=1e-3)
    assert distance(after.frozen, first_state().params) == 0
    assert float(jnp.abs(after.params["blocks"]["mlp"]["up"]["b"]).max()) > 0
