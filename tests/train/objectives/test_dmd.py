# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""DMD: its formulas, phases that leave other networks alone, any mesh, resumed bit for bit."""

import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mugv_jax.data.interleave import TAG, Phased, source_of, source_order
from mugv_jax.nn import lora
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import place_batch
from mugv_jax.systems.mugv.defaults import read_defaults
from mugv_jax.train import diffusion
from mugv_jax.train.checkpoint import FOLDER
from mugv_jax.train.loss import LossConfig
from mugv_jax.train.noising import NULL_TEXT
from mugv_jax.train.objectives import dmd
from mugv_jax.train.tasks import TaskConfig
from mugv_jax.weights.load import load
from tests.flow.denoisers import denoiser
from tests.systems.mugv.folders import write_run
from tests.train.runs import tiny, write_samples
from tests.train.test_step import ROWS, distance, null_text, numpy_batch

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
DMD = {"name": "dmd", "steps": 3, "guidance": 2.0, "critic_updates": 1}


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Samples, and weights to start from."""
    folder = tmp_path_factory.mktemp("started")
    samples = write_samples(folder / "data", ROWS, shapes=((3, 4, 4),))
    write_run(folder / "weights", "mugv_dit", tiny(samples).dit)
    return folder


def program_of(started, *overrides, **fields):
    config = tiny(
        started / "data", f"run.weights={started / 'weights'}", "run.steps=4", f"data.batch={ROWS}",
        "data.tokens_per_shard=112", "data.holdout=0", "checkpoint.every=1", "log.every=1",
        "optimizer.warmup_steps=0", "optimizer.learning_rate=0.001", *overrides,
        objective=DMD | fields,
    )  # fmt: skip
    count = int(np.prod([getattr(config.mesh, axis) or 1 for axis in meshes.AXES]))
    return diffusion.make_program(config, config.mesh.make_mesh(jax.devices()[:count]), null_text())


@pytest.fixture(scope="module")
def alone(started):
    """The program on one device, compiled once for all tests."""
    return program_of(started)


def initial(started):
    return jax.device_get(load(started / "weights", "mugv_dit")[1]["params"])


def run(program, started, phases=("student", "critic", "student")):
    """(metrics of every step, states before and after every step)."""
    state = program.start({"params": initial(started)})
    found, states = [], [jax.device_get(state)]
    with meshes.use(program.mesh):
        for number, phase in enumerate(phases):
            batch = numpy_batch(number) | {f"{TAG}{phase}": np.zeros(ROWS, bool)}
            state, metrics = program.step(state, place_batch(batch, program.mesh))
            found.append({name: float(x) for name, x in metrics.items() if not np.ndim(x)})
            states.append(jax.device_get(state))
    return found, states


def same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_phase_trains_one_network_and_is_the_same_on_any_mesh(alone, started):
    metrics, states = run(alone, started)
    for network in (states[0].params, states[0].extra["critic"], states[0].extra["reference"]):
        same(network, initial(started))
    student, critic = states[1], states[2]
    assert distance(student.params, states[0].params) > 1e-5
    for name in ("critic", "critic_opt", "reference"):
        same(student.extra[name], states[0].extra[name])
    assert distance(critic.extra["critic"], student.extra["critic"]) > 1e-5
    same((critic.params, critic.opt, critic.ema), (student.params, student.opt, student.ema))
    same(critic.extra["reference"], states[0].extra["reference"])
    assert [int(state.step) for state in states] == [0, 1, 2, 3]
    assert metrics[0]["student/distance"] > 1e-3  # the critic is the teacher without guidance
    assert {"grad_norm", "student/gradient"} <= metrics[0].keys()
    assert {"critic_grad_norm", "critic/loss"} <= metrics[1].keys()
    assert not {"grad_norm", "student/gradient"} & metrics[1].keys()
    mesh = ("mesh.fsdp=2", "mesh.tensor=2", "mesh.sequence=2", "run.accumulate=2")
    split, apart = run(program_of(started, *mesh), started)
    for ours, theirs in zip(split, metrics, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-6), name
    assert distance(apart[3].params, states[3].params) <= SHARDED
    assert distance(apart[3].extra["critic"], states[3].extra["critic"]) <= SHARDED


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(alone, started, tmp_path, monkeypatch):
    monkeypatch.setattr(diffusion, "make_program", lambda *_: alone)  # compiled already
    device = jax.devices()[:1]
    assert diffusion.train(alone.config, tmp_path / "straight", device) == 4
    killed = shutil.copytree(tmp_path / "straight", tmp_path / "run") / FOLDER  # after step 1
    for number in ("2", "3", "4"):
        shutil.rmtree(killed / number)
    assert diffusion.train(alone.config, tmp_path / "run", device) == 4
    straight, resumed = (load(tmp_path / run, "mugv_dit")[1] for run in ("straight", "run"))
    same(straight, resumed)
    lines = [
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("straight", "run")
    ]
    assert [line["train/loss"] for line in lines[0]] == [line["train/loss"] for line in lines[1]]
    of_student = ["train/student/gradient" in line for line in lines[0]]
    assert sum(of_student) == 2
    assert [not each for each in of_student] == ["train/critic/loss" in line for line in lines[0]]
    defaults = read_defaults(started / "weights", dit=tmp_path / "run")
    assert (defaults.steps, defaults.guidance, defaults.renoise) == (3, 1.0, True)


def test_student_and_critic_may_be_updates_of_one_set_of_weights(started):
    program = program_of(started, "lora.rank=2", "ema.enabled=False")
    state = program.abstract
    assert set(state.extra) == {"critic", "critic_opt", "null_text"}
    assert jax.tree.structure(state.extra["critic"]) == jax.tree.structure(state.params)
    networks = lambda state: {"policy": state.params, "critic": state.extra["critic"]}  # noqa: E731
    policies = jax.eval_shape(lambda state: program.policies(networks(state), state), state)
    assert {name: set(each) for name, each in policies.items() if name != NULL_TEXT} == {
        "policy": {"params", lora.COLLECTION},
        "critic": {"params", lora.COLLECTION},
        "reference": {"params"},
    }
    begun = program.start({"params": initial(started)})
    same(jax.device_get(begun.extra["critic"]), jax.device_get(begun.params))
    assert "critic" not in program.reloaded  # hence it is in checkpoints


def scaled(variables, x, t, condition):
    """Velocity in proportion to x, by a factor of the network and the caption."""
    return variables * jnp.mean(condition["text"]) * x * (1 + t[..., None, None, None])


def prepared(objective):
    batch = jax.tree.map(jnp.asarray, numpy_batch(0))
    networks = {"policy": 0.5, "critic": 0.3, "reference": -0.2}
    policies = {name: jnp.float32(x) for name, x in networks.items()}
    # One number as caption, so that guidance is by the null caption's.
    batch |= {"text": jnp.full((ROWS, 6, 8), 2.0)}
    policies |= {NULL_TEXT: null_text()}
    return batch, policies, objective.prepare(jax.random.key(3), policies, batch)


@pytest.fixture
def by_hand(alone):
    return dataclasses.replace(alone.objective, denoiser=denoiser(scaled))


def test_the_loss_is_the_published_one(by_hand):
    _, policies, part = prepared(by_hand)
    arrays = jax.tree.map(np.asarray, (part.x, part.t_s, part.t, part.noise, part.noisy))
    x, t_s, t, noise, noisy = arrays
    rows = lambda each: each[:, None, None, None, None]  # noqa: E731
    mask = np.broadcast_to(noisy[..., None, None, None], x.shape)
    time_s, time = (np.where(mask, rows(each), 0) for each in (t_s, t))
    x_0 = x + time_s * (0.5 * 2.0 * x * (1 + time_s))
    x_t = np.where(mask, (1 - rows(t)) * x_0 + rows(t) * noise, x_0)
    velocity = lambda factor: factor * x_t * (1 + time)  # noqa: E731
    teacher = velocity(-0.2 * 0.5) + 2.0 * (velocity(-0.2 * 2) - velocity(-0.2 * 0.5))
    critic = velocity(0.3 * 2)
    mean = lambda each: np.array(  # noqa: E731
        [row[chosen].mean() for row, chosen in zip(each, mask)]
    )
    size = mean(np.abs(x_0 - (x_t + time * teacher)))
    change = time * (critic - teacher) / rows(size)
    loss, metrics = by_hand.loss(policies, part)
    np.testing.assert_allclose(loss, mean(change**2).mean() / 2, rtol=1e-4)
    np.testing.assert_allclose(metrics["student/teacher_distance"], size.mean(), rtol=1e-4)
    found = jax.grad(lambda x: by_hand.loss(policies | {"policy": x}, part)[0])(policies["policy"])
    of_policy = 2.0 * time_s * x * (1 + time_s)  # of x_0
    np.testing.assert_allclose(found, mean(change * of_policy).mean(), rtol=1e-4)
    for name in ("critic", "reference"):
        assert jax.grad(lambda x, n=name: by_hand.loss(policies | {n: x}, part)[0])(1.0) == 0
    of_critic = by_hand.at("critic")
    loss, _ = of_critic.loss(policies, part)
    np.testing.assert_allclose(loss, mean((critic - (x_0 - noise)) ** 2).mean(), rtol=1e-4)
    pull = jax.grad(lambda x: of_critic.loss(policies | {"policy": x}, part)[0])
    assert pull(policies["policy"]) == 0


def test_given_frames_stay_given_and_every_step_of_the_student_is_drawn(by_hand):
    batch, policies, part = prepared(by_hand)
    given = ~np.asarray(part.noisy)
    assert 0 < given.sum() < given.size / 2
    np.testing.assert_array_equal(np.asarray(part.x)[given], batch["latent"][given])
    times = by_hand.times((3, 4, 4))
    drawn = list(np.asarray(part.t_s))
    for seed in range(1, 4):
        more = by_hand.prepare(jax.random.key(seed), policies, batch)
        drawn += list(np.asarray(more.t_s))
    assert {*np.float32(drawn)} == {*np.float32(times[:-1])}
    assert (np.asarray(part.t) >= 0.02).all()
    assert (np.asarray(part.t) <= 0.98).all()
    # Row by row: another row's clip, caption and step change nothing.
    first = batch | {"latent": batch["latent"].at[1:].set(0.0)}
    again = by_hand.prepare(jax.random.key(3), policies, first)
    np.testing.assert_allclose(again.x[0], part.x[0], atol=1e-6)


def gaussian(variables, x, t, condition):
    """Velocity of data N(m, s^2), or of a student whose estimate is a + c x.

    E[x_0 - noise | x_t] = m + ((1 - t) s^2 - t) / ((1 - t)^2 s^2 + t^2) (x_t - (1 - t) m)
    """
    del condition
    t = t[..., None, None, None]
    if "a" in variables:
        return (variables["a"] + variables["c"] * x - x) / t
    m, variance = variables["m"], jnp.square(variables["s"])
    slope = ((1 - t) * variance - t) / (jnp.square(1 - t) * variance + jnp.square(t))
    return m + slope * (x - (1 - t) * m)


def test_a_student_of_one_step_reaches_the_teachers_distribution(by_hand):
    """From N(-0.5, 0.2^2) to N(1, 0.5^2), with a critic that starts where the student does."""
    settings = dmd.Settings(steps=1, guidance=1.0, critic_updates=3)
    objective = dataclasses.replace(
        by_hand,
        denoiser=denoiser(gaussian),
        settings=settings,
        tasks=TaskConfig(),
        loss_config=LossConfig(times="uniform", shift=False),
    )
    batch = {name: jnp.zeros((128, 1)) for name in ("text", "text_mask", "fps")}
    batch["latent"] = jnp.zeros((128, 2, 1, 1, 1))
    teacher = {"m": jnp.float32(1.0), "s": jnp.float32(0.5)}
    trained = {
        "policy": {"a": jnp.float32(-0.5), "c": jnp.float32(0.2)},
        "critic": {"m": jnp.float32(-0.5), "s": jnp.float32(0.2)},
    }
    adam = optax.adam(0.02, b1=0.0)

    def cycle(carry, key):
        for i in range(1 + settings.critic_updates):
            trained, opt = carry
            phase = objective.at("critic" if i else "student")
            part = phase.prepare(
                jax.random.fold_in(key, i), {**trained, "reference": teacher}, batch
            )
            bind = lambda trained: {**trained, "reference": teacher}  # noqa: E731
            ((name, grads),) = phase.gradient(bind, trained, part)[2].items()
            with jax.numpy_dtype_promotion("standard"):
                change, of_name = adam.update(grads, opt[name])
            new = optax.apply_updates(trained[name], change)
            carry = {**trained, name: new}, {**opt, name: of_name}
        return carry, None

    keys = jax.random.split(jax.random.key(0), 160)
    begun = trained, {name: adam.init(each) for name, each in trained.items()}
    (trained, _), _ = jax.jit(lambda begun: jax.lax.scan(cycle, begun, keys))(begun)
    reached = {name: float(x) for each in trained.values() for name, x in each.items()}
    expected = {"a": 1.0, "c": 0.5, "m": 1.0, "s": 0.5}
    assert reached == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("critic_updates", [1, 2, 5])
def test_phases_take_turns_in_their_shares(by_hand, critic_updates):
    settings = dmd.Settings(critic_updates=critic_updates)
    objective = dataclasses.replace(by_hand, settings=settings)
    order = source_order(objective.phases, 40)
    counts = np.cumsum(order == 0)
    assert counts.tolist() == [objective.updates(steps) for steps in range(1, 41)]
    steps = Phased([{"sample": np.arange(2)}] * 40, tuple(objective.phases), order)
    assert [source_of(steps[i]) for i in range(6)] == [
        ("student", "critic")[each] for each in order[:6]
    ]


def test_the_student_costs_the_teachers_evaluations_more(alone):
    batch = alone.objective.abstract_batch(alone.mesh, (3, 4, 4), 4)
    assert alone.objective.variant(batch) == "student"
    forward = alone.objective.work(batch).flops / 8  # 2 of sampling, 3, the critic, 2 of guidance
    assert alone.objective.work({"text": batch["text"], "latent": batch["latent"],
                                 f"{TAG}critic": batch["fps"]}).flops == 6 * forward  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"critic_updates": 0}, "critic_updates=0 must be at least 1"),
        ({"times": (1.0, 0.5)}, r"times=\(1.0, 0.5\) must be as many as steps=4"),
        ({"times": (0.5, 0.7), "steps": 2}, r"times=0.5,0.7 must be 1 to 1000 falling"),
        ({"guidance": -1.0}, "guidance scale=-1.0"),
        ({"critic_rate": 0.0}, "critic_rate=0.0 must lie above 0"),
        ({"noise_range": (0.5, 0.2)}, r"noise_range=\(0.5, 0.2\) must be \(LOW, HIGH\)"),
    ],
)
def test_settings_out_of_range_are_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        functools.partial(dmd.Settings, **fields)()
