# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""DiffusionNFT: its formulas, the same step on any mesh and in parts, resumed bit for bit."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.data.column_field import ColumnField
from mugv_jax.data.fields import BatchSizes
from mugv_jax.post.demo import DemoScorer
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import place_batch
from mugv_jax.train import diffusion
from mugv_jax.train.checkpoint import FOLDER
from mugv_jax.train.noising import Noised
from mugv_jax.train.objectives import nft
from mugv_jax.train.scoring import HostScorer, as_frames
from mugv_jax.video.frames import to_frames
from mugv_jax.weights.load import load
from tests.systems.mugv.folders import write_run
from tests.train.objectives.test_reward import SIZES, program_of
from tests.train.runs import tiny, write_samples
from tests.train.test_step import ROWS, distance, numpy_batch

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
HERE = "tests.train.objectives.test_nft"
WORDS = ColumnField("word", length=8)
UNREAD = BatchSizes((2, 4, 4), 6)
JUDGED = []  # the words of every clip that was judged


class Bright:
    """Brightness in steps of 0.01 levels, which rounding hardly ever crosses."""

    name, parts, fields = "bright", ("light", "dark"), (WORDS,)

    def judge(self, videos, about):
        JUDGED.extend(row["word"] for row in about)
        levels = [round(float(video.mean(dtype=np.float64)), 2) for video in videos]
        return [(level / 255, 1 - level / 255) for level in levels]


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return str(write_run(tmp_path_factory.mktemp("vae") / "vae", "mugv_vae", SIZES))


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Samples with the column that the scorer reads, and weights to start from."""
    folder = tmp_path_factory.mktemp("started")
    samples = write_samples(folder / "data", ROWS, shapes=((3, 4, 4),))
    header, *rows = (samples / "train.csv").read_text().splitlines()
    rows = [f"{row},w{i}" for i, row in enumerate(rows)]
    (samples / "train.csv").write_text("\n".join([f"{header},word", *rows]) + "\n")
    write_run(folder / "weights", "mugv_dit", tiny(samples).dit)
    return folder


def objective(vae, **fields):
    score = {"load": f"{HERE}:Bright", "weights": {"light": 2.0, "dark": 0.0}}
    shared = {"name": "nft", "vae": vae, "score": score, "steps": 2, "guidance": 2.0, "samples": 2}
    return shared | {"decode": (0, 1), "decay_rate": 0.25, "kl_weight": 0.1} | fields


def config_of(started, vae, *overrides, **fields):
    return tiny(
        started / "data", f"run.weights={started / 'weights'}", "run.steps=3", f"data.batch={ROWS}",
        "data.tokens_per_shard=112", "data.holdout=0", "checkpoint.every=1", "log.every=1",
        "optimizer.warmup_steps=0", "optimizer.learning_rate=0.001", *overrides,
        objective=objective(vae, **fields),
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(started, vae):
    """The program on one device, compiled once for all tests."""
    return program_of(config_of(started, vae))


def initial(started):
    return jax.device_get(load(started / "weights", "mugv_dit")[1]["params"])


def batch_of(seed):
    words = [f"w{row}" for row in range(ROWS)]
    return numpy_batch(seed) | WORDS.stack(words, UNREAD)


def run(program, started, steps=2):
    """(metrics of every step, states before and after every step)."""
    state = program.start({"params": initial(started)})
    found, states = [], [jax.device_get(state)]
    with meshes.use(program.mesh):
        for step in range(steps):
            state, metrics = program.step(state, place_batch(batch_of(step), program.mesh))
            found.append({name: float(x) for name, x in metrics.items() if not np.ndim(x)})
            states.append(jax.device_get(state))
    return found, states


def test_a_step_is_the_same_on_any_mesh_and_in_microbatches(alone, started, vae):
    JUDGED.clear()
    metrics, states = run(alone, started)
    words = sorted(4 * [f"w{row}" for row in range(ROWS)])  # two samples in each of two steps
    assert sorted(JUDGED) == words
    first, second = metrics
    assert first["distance"] < 1e-10  # at the reference, which is the old policy as well
    assert first["old_distance"] < 1e-10
    assert second["distance"] > 1e-7
    assert first["score"] == pytest.approx(first["score_light"])  # "dark" has no weight
    assert first["score_light"] + first["score_dark"] == pytest.approx(1)
    assert first["equal_groups"] < 0.5
    assert first["goodness"] == pytest.approx(0.5, abs=0.01)
    # The old policy of step n is 0.25 n of the one before, and the rest of the policy.
    expected = jax.tree.map(lambda a, b: 0.25 * a + 0.75 * b, states[0].params, states[1].params)
    old = states[2].extra[nft.OLD]
    assert old["updates"] == 2
    assert distance(old["weights"], expected) < 1e-6
    assert distance(old["weights"], states[1].params) > 1e-5
    JUDGED.clear()
    mesh = ("mesh.fsdp=2", "mesh.tensor=2", "mesh.sequence=2", "run.accumulate=2")
    split, apart = run(program_of(config_of(started, vae, *mesh, split=2)), started)
    assert sorted(JUDGED) == words  # once each, although four devices hold every clip
    for ours, theirs in zip(split, metrics, strict=True):
        for name in ours.keys() - {"grad_norm"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-5), name
    assert distance(apart[2].params, states[2].params) <= SHARDED
    assert distance(apart[2].extra[nft.OLD]["weights"], old["weights"]) <= SHARDED


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(alone, started, tmp_path, monkeypatch):
    monkeypatch.setattr(diffusion, "make_program", lambda *_: alone)  # compiled already
    device = jax.devices()[:1]
    assert diffusion.train(alone.config, tmp_path / "straight", device) == 3
    killed = shutil.copytree(tmp_path / "straight", tmp_path / "run") / FOLDER  # after step 1
    for number in ("2", "3"):
        shutil.rmtree(killed / number)
    assert diffusion.train(alone.config, tmp_path / "run", device) == 3
    straight, resumed = (load(tmp_path / run, "mugv_dit")[1] for run in ("straight", "run"))
    jax.tree.map(np.testing.assert_array_equal, straight, resumed)
    assert distance(straight["params"], initial(started)) > 0
    lines = [
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()]
        for run in ("straight", "run")
    ]
    for name in ("train/loss", "train/score", "train/old_distance"):
        assert [line[name] for line in lines[0]] == [line[name] for line in lines[1]]
    assert lines[0][2]["train/old_distance"] > 0


def test_low_rank_updates_have_an_old_policy_of_their_own(started, vae):
    program = program_of(config_of(started, vae, "lora.rank=2", "ema.enabled=False"))
    old = program.abstract.extra[nft.OLD]
    assert jax.tree.structure(old["weights"]) == jax.tree.structure(program.abstract.params)
    assert nft.OLD not in program.reloaded  # hence it is in checkpoints
    state = program.start({"params": initial(started)})
    policy = jax.tree.map(jnp.ones_like, state.params)
    for updates, share in ((0, 0), (2, 0.5)):  # decay 0.25 n, at most 0.5
        weights = jax.tree.map(lambda x: jnp.full_like(x, 3.0), state.params)
        held = {"weights": weights, "updates": jnp.float32(updates)}
        policies = program.policies({"policy": policy, nft.OLD: held}, state)
        found = program.objective.old(policies)
        assert set(found) == {"params", "lora"}
        wanted = jax.tree.map(
            lambda x, share=share: x * (1 + 2 * share), policies["policy"]["lora"]
        )
        assert distance(found["lora"], wanted) < 1e-6


def numpy_loss(v, old, target, t, r, *, adaptive, beta, clip):
    """Loss (4) without the reference, as the paper writes it."""

    def error(v):
        if not adaptive:
            return np.mean((v - target) ** 2, axis=(1, 2, 3, 4))
        gap = t[:, :, None, None, None] * (v - target)
        return np.mean(gap**2, axis=(1, 2, 3, 4)) / np.mean(np.abs(gap), axis=(1, 2, 3, 4))

    positive = error((1 - beta) * old + beta * v)
    negative = error((1 + beta) * old - beta * v)
    return clip / beta * (r * positive + (1 - r) * negative)


@pytest.mark.parametrize("adaptive", [True, False])
def test_the_loss_is_the_published_one(adaptive):
    rng = np.random.default_rng(0)
    v, old, target = rng.standard_normal((3, 4, 2, 3, 3, 5)).astype(np.float32)
    t = np.repeat(rng.uniform(0.1, 1, (4, 1)), 2, axis=1).astype(np.float32)
    r = np.array([0, 0.3, 0.5, 1], np.float32)
    sample = Noised(x_t=jnp.zeros(v.shape), t=jnp.asarray(t), target=jnp.asarray(target),
                    noisy=jnp.ones(t.shape, bool))  # fmt: skip
    settings = nft.Settings(
        score={"load": "demo"}, beta=0.3, clip=2.0, adaptive=adaptive, samples=2
    )
    found = nft.nft_loss(jnp.asarray(v), jnp.asarray(old), sample, jnp.asarray(r), settings)
    expected = numpy_loss(v, old, target, t, r, adaptive=adaptive, beta=0.3, clip=2.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # At the old policy the gradient is 2 A times that of the error, where clip (2 r - 1) = A.
    pull = jax.grad(
        lambda v: jnp.sum(nft.nft_loss(v, jnp.asarray(old), sample, jnp.asarray(r), settings))
    )
    gap = old - target
    slope = 2 * gap / gap[0].size
    if adaptive:
        scaled = t[:, :, None, None, None]
        slope = slope * scaled**2 / np.mean(np.abs(scaled * gap), axis=(1, 2, 3, 4), keepdims=True)
    advantage = 2.0 * (2 * r - 1)
    wanted = advantage[:, None, None, None, None] * slope
    np.testing.assert_allclose(pull(jnp.asarray(old)), wanted, atol=1e-6)


def test_scores_are_compared_within_their_group():
    scores = np.array([[1, 0, 0], [5, 5, 5], [0.1, 0.1, 0.1], [0, 2, 4]], np.float32)
    away = scores - scores.mean(axis=1, keepdims=True)
    for std, spread in (("batch", scores.std()), ("group", scores.std(axis=1, keepdims=True))):
        settings = nft.Settings(score={"load": "demo"}, samples=3, std=std, clip=0.5)
        found, metrics = nft.goodness(jnp.asarray(scores.reshape(-1)), settings)
        expected = 0.5 + 0.5 * np.clip(away / (spread + 1e-4) / 0.5, -1, 1)
        expected[1:3] = 0.5  # exactly: equal scores teach nothing
        np.testing.assert_allclose(found.reshape(4, 3), expected, rtol=1e-5)
        np.testing.assert_array_equal(found.reshape(4, 3)[1:3], 0.5)
        assert metrics["equal_groups"] == 0.5
        assert metrics["score"] == pytest.approx(scores.mean())


def test_the_scorer_of_the_demo_judges_the_frames_of_a_step():
    rng = np.random.default_rng(0)
    pixels = jnp.asarray(rng.uniform(-1.2, 1.2, (2, 17, 64, 64, 3)), jnp.float32)
    frames = np.asarray(as_frames(pixels))
    assert np.abs(frames.astype(int) - to_frames(pixels)).max() <= 1
    about = [
        {"shape": "cone", "colour": "red", "motion": motion, "told": ""}
        for motion in ("left", "right")
    ]
    columns = {field.name: field for field in DemoScorer.fields}
    batch = {}
    for name, field in columns.items():
        batch |= field.stack([row[name] for row in about], UNREAD)
    mesh = meshes.make_mesh({}, devices=jax.devices()[:1])
    weights = {"motion": 3.0, "physics": 1.0}
    scorer = HostScorer.of({"load": "demo", "weights": weights}, mesh)
    with meshes.use(mesh):
        parts = jax.jit(scorer)(pixels, batch)
    judged = DemoScorer().judge(list(frames), about)
    np.testing.assert_array_equal(parts, np.asarray(judged, np.float32))
    np.testing.assert_allclose(scorer.total(parts), (3 * parts[:, 2] + parts[:, 3]) / 4)


class Careless(Bright):
    def judge(self, videos, about):
        return [[float("nan"), 1.0] for _ in zip(videos, about, strict=True)]


def test_what_a_scorer_may_not_do_is_refused(started, vae):
    mesh = meshes.make_mesh({}, devices=jax.devices()[:1])
    careless = HostScorer.of({"load": f"{HERE}:Careless"}, mesh)
    with pytest.raises(ValueError, match="it must give a finite number for each of light, dark"):
        careless._judge((1, 2), [np.zeros(2, np.uint8)], WORDS.stack(["w"], UNREAD))
    for described, says in (
        ({"load": "json:loads"}, "options {} do not fit"),
        ({"load": f"{HERE}:dict"}, "no function"),
        ({"load": "collections:OrderedDict"}, "made OrderedDict, which is no scorer"),
        ({"load": "demo", "weights": {"sound": 1.0}}, "part 'sound' is not judged by demo"),
    ):
        with pytest.raises(ValueError, match=says):
            HostScorer.of(described, mesh)
    with pytest.raises(ValueError, match=r"data\.batch=0 must be the number of prompts"):
        program_of(config_of(started, vae, "data.batch=0"))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"score": {}}, "needs 'load', one of demo"),
        ({"score": {"load": "demo", "weights": {"motion": "1"}}}, "must be a number for each part"),
        ({"samples": 1}, "samples=1 must be at least 2"),
        ({"samples": 4, "split": 3}, "split=3 must divide samples=4"),
        ({"std": "all"}, "std='all' must be one of batch, group"),
        ({"clip": 0.0}, "clip=0.0 must be a number above 0"),
        ({"decay_max": 1.0}, r"decay_max=1.0 must lie in \[0, 1\)"),
    ],
)
def test_settings_out_of_range_are_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        nft.Settings(**objective("", **fields))
