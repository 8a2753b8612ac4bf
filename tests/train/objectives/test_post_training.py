# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Post-training: published numbers, any mesh and microbatches, whole runs on pairs."""

import dataclasses
import functools
import json
import math
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mugv_jax.data.interleave import TAG, source_of
from mugv_jax.data.pt_files import latent_bytes
from mugv_jax.golden import post_training
from mugv_jax.golden.cases import read_case
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import place_batch
from mugv_jax.train import diffusion
from mugv_jax.train.checkpoint import FOLDER
from mugv_jax.train.objectives import dpo, kto, sft
from mugv_jax.weights.load import load
from tests.systems.mugv.folders import write_run
from tests.train.runs import tiny, write_samples
from tests.train.test_step import distance, null_text, numpy_batch

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "post_training").glob("*.json"))
PARITY = 1e-5  # relative L2, of values and gradients
SHARDED = 1e-5  # relative L2: the order of float32 sums differs
DPO = {"name": "dpo", "beta": 50.0, "sft_weight": 0.5}
KTO = {"name": "kto", "beta": 50.0, "undesirable_weight": 0.5, "sft_weight": 0.5}
SFT = {"name": "sft", "kl_weight": 2.0, "short_captions": 0.5}
EXPECTED = {"kto": {"baseline", "reward", "margin", "displacement"}, "sft": {"distance"}}


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_values_and_gradients_are_the_published_ones(path, devices, monkeypatch):
    axes = {"fsdp": 2, "tensor": 2, "sequence": 2} if devices == 8 else {}
    mesh = meshes.make_mesh(axes, devices=jax.devices()[:devices])

    def spread(array):
        """Every axis that two devices divide is split over one axis of the mesh."""
        free, spec = ["fsdp", "tensor", "sequence"], []
        for size in np.shape(array):
            spec.append(free.pop(0) if free and size % 2 == 0 else None)
        return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*spec)))

    case = read_case(path)
    monkeypatch.setattr(
        post_training, "on_devices", lambda arrays: jax.tree.map(spread, dict(arrays))
    )
    with jax.default_matmul_precision("highest"):
        outputs = post_training.KINDS[case.spec["kind"]](case)
    assert len(outputs) >= 5
    for name, (ours, reference) in outputs.items():
        error = np.linalg.norm(ours - reference) / max(np.linalg.norm(reference), 1e-30)
        assert error <= PARITY, name


def post_batch(seed):
    batch, other = numpy_batch(seed), numpy_batch(seed + 100)
    label = np.arange(len(batch["latent"])) % 3 == 0
    short = {"text_short": other["text"], "text_short_mask": other["text_mask"]}
    return batch | short | {"lose": other["latent"], "desirable": label.astype(np.float32)}


def program_of(*overrides, objective=DPO):
    config = tiny("unread", *overrides, objective=objective)
    count = int(np.prod([getattr(config.mesh, axis) or 1 for axis in meshes.AXES]))
    return diffusion.make_program(config, config.mesh.make_mesh(jax.devices()[:count]), null_text())


@functools.cache
def first_params():
    return jax.device_get(program_of().start({}).params)


def run(program, steps=2):
    """(metrics of every step, state) after some steps."""
    state = program.start({"params": first_params()})
    found = []
    with meshes.use(program.mesh), jax.default_matmul_precision("highest"):
        for step in range(steps):
            state, metrics = program.step(state, place_batch(post_batch(step), program.mesh))
            found.append({name: float(x) for name, x in metrics.items() if not np.ndim(x)})
    return found, jax.device_get(state)


def test_a_run_begins_at_its_reference_and_a_step_is_the_same_on_any_mesh():
    alone, state = run(program_of())
    first, second = alone
    assert first["margin"] == first["displacement"] == 0
    error = (first["loss"] - math.log(2)) / 0.5  # the winner's flow-matching loss
    assert 1 < error < 20
    assert second["margin"] != 0
    assert distance(state.extra["reference"], first_params()) == 0
    assert distance(state.params, first_params()) > 0
    mesh = ("mesh.fsdp=2", "mesh.tensor=2", "mesh.sequence=2", "run.accumulate=4")
    metrics, split = run(program_of(*mesh))
    for ours, reference in zip(metrics, alone, strict=True):
        for name in ("loss", "accuracy", "margin", "displacement"):
            assert ours[name] == pytest.approx(reference[name], rel=1e-3, abs=1e-4), name
    assert distance(split.params, state.params) <= SHARDED


@pytest.mark.parametrize("objective", [KTO, SFT], ids=lambda each: each["name"])
def test_other_objectives_are_the_same_on_any_mesh_as_well(objective):
    alone, state = run(program_of(objective=objective))
    split_up = ("mesh.fsdp=2", "run.accumulate=4")
    metrics, split = run(program_of(*split_up, objective=objective))
    assert set(metrics[0]) >= EXPECTED[objective["name"]]
    for ours, reference in zip(metrics, alone, strict=True):
        for name in ours.keys() - {"grad_norm"}:
            assert ours[name] == pytest.approx(reference[name], rel=1e-3, abs=1e-4), name
    first, second = (alone[step]["distance" if objective is SFT else "reward"] for step in (0, 1))
    assert first == 0  # at the reference
    assert second != 0
    assert distance(split.params, state.params) <= SHARDED
    assert distance(state.params, first_params()) > 1e-4


def test_the_baseline_is_that_of_all_samples():
    rewards = jnp.array([3.0, -1.0, 2.0, 0.0])
    assert kto.kto_baseline(rewards) == 1
    assert kto.kto_baseline(-rewards) == 0
    settings = kto.Settings(undesirable_weight=0.5, sft_weight=0.1)
    label = jnp.array([True, True, False, False])
    found = kto.kto_loss(jnp.ones(4), rewards, jnp.array(1.0), label, settings)
    expected = [1 / (1 + np.exp(2)) + 0.1, 1 / (1 + np.exp(-2)) + 0.1]
    expected += [0.5 / (1 + np.exp(-1)), 0.5 / (1 + np.exp(1))]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_short_captions_come_in_their_share():
    texts = {"text": jnp.zeros((400, 3, 2)), "text_short": jnp.ones((400, 3, 2))}
    masks = {"text_mask": jnp.zeros((400, 3), bool), "text_short_mask": jnp.ones((400, 3), bool)}
    found = sft.short_for_some(jax.random.key(3), texts | masks, 0.25)
    rows = found["text"].reshape(400, -1)
    assert set(np.unique(rows.mean(axis=1))) == {0, 1}
    assert abs(float(rows.mean()) - 0.25) < 0.07  # three standard deviations
    np.testing.assert_array_equal(found["text_mask"].any(axis=1), rows.any(axis=1))
    lacking = masks | {"text_short_mask": jnp.tile(jnp.arange(400)[:, None] < 200, (1, 3))}
    kept = sft.short_for_some(jax.random.key(3), texts | lacking, 0.25)["text"]
    np.testing.assert_array_equal(kept[:200].reshape(200, -1), rows[:200])
    assert not kept[200:].any()


def test_under_low_rank_updates_the_reference_is_the_frozen_weights():
    program = program_of("lora.rank=2", "ema.enabled=False")
    state = program.abstract
    assert set(state.extra) == {"null_text"}
    policies = jax.eval_shape(
        lambda state: program.policies({"policy": state.params}, state), state
    )
    assert set(policies["policy"]) == {"params", "lora"}
    assert set(policies["reference"]) == {"params"}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Samples in the published format, each with a loser and a label."""
    folder = write_samples(tmp_path_factory.mktemp("data") / "pairs", 12, shapes=((3, 4, 4),))
    rng = np.random.default_rng(1)
    header, *rows = (folder / "train.csv").read_text().splitlines()
    for i in range(len(rows)):
        loser = rng.standard_normal((3, 4, 4, 24)).astype(np.float32)
        (folder / f"latents/{i}_lose.pt").write_bytes(latent_bytes(loser))
        rows[i] += f",latents/{i}_lose.pt,{int(i % 3 == 0)}"
    (folder / "train.csv").write_text("\n".join([f"{header},lose_path,desirable", *rows]) + "\n")
    return folder


def metric(run, name):
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line[name] for line in lines if name in line}


def mixed(folder, **pairs):
    """Two batches of pairs for one of labels."""
    sources = {
        "labels": {"objective": KTO, "paths": (str(folder),), "share": 1},
        "pairs": {"objective": DPO, "paths": (str(folder),), "share": 2, **pairs},
    }
    return {"name": "interleaved", "sources": sources}


def test_interleaved_sources_resume_exactly_and_keep_their_metrics_apart(labelled, tmp_path):
    one_device, objective = jax.devices()[:1], mixed(labelled)
    weights = write_run(tmp_path / "weights", "mugv_dit", tiny(labelled).dit)
    config = tiny(
        labelled, "run.steps=6", f"run.weights={weights}", "log.every=1", "checkpoint.every=2",
        "data.paths=()", "data.batch=2", "data.holdout=0.3", "log.validate_every=6",
        objective=objective,
    )  # fmt: skip
    assert diffusion.train(config, tmp_path / "straight", one_device) == 6
    killed = shutil.copytree(tmp_path / "straight", tmp_path / "run") / FOLDER  # after step 2
    for step in ("4", "6"):
        shutil.rmtree(killed / step)
    saved = killed / "2" / "state"
    assert saved.is_dir()
    assert not [path for path in saved.rglob("*") if "reference" in path.name]
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, validate_every=0))
    assert diffusion.train(config, tmp_path / "run", one_device) == 6
    straight, resumed = (load(tmp_path / each, "mugv_dit")[1] for each in ("straight", "run"))
    jax.tree.map(np.testing.assert_array_equal, resumed, straight)
    margins, rewards = (
        metric(tmp_path / "run", f"train/{name}") for name in ("pairs/margin", "labels/reward")
    )
    assert sorted([*margins, *rewards]) == [1, 2, 3, 4, 5, 6]
    for cycle in ({1, 2, 3}, {4, 5, 6}):
        assert len(cycle & rewards.keys()) == 1
    assert (margins | rewards)[1] == 0  # at the reference, which both share
    assert all(abs(value) > 1e-4 for step, value in (margins | rewards).items() if step > 1)
    assert metric(tmp_path / "run", "task/pairs/i2v") or metric(tmp_path / "run", "task/pairs/t2v")
    of_pairs, of_labels = (
        metric(tmp_path / "straight", f"validation/{name}/loss")[6] for name in ("pairs", "labels")
    )
    assert of_pairs != of_labels  # of desirable samples only
    losses = (metric(tmp_path / name, "train/loss") for name in ("straight", "run"))
    assert next(losses) == next(losses)
    assert metric(tmp_path / "straight", "validation/loss")[6] == pytest.approx(
        (of_pairs + of_labels) / 2
    )


def test_a_source_has_a_batch_and_a_weight_of_its_own(labelled):
    metrics = []
    for weight in (1.0, 3.0):
        objective = mixed(labelled, weight=weight, batch=2)
        program = program_of("data.paths=()", "data.batch=4", objective=objective)
        parts = program.objective.parts(program.config)
        assert {name: part.config.data.batch for name, part in parts.items()} == {
            "labels": 4,
            "pairs": 2,
        }
        batch = post_batch(0)
        batch |= {f"{TAG}pairs": np.zeros(len(batch["latent"]), bool)}
        with meshes.use(program.mesh):
            start = program.start({"params": first_params()})
            found = program.step(start, place_batch(batch, program.mesh))[1]
        metrics.append({name: float(x) for name, x in found.items() if not np.ndim(x)})
    one, three = metrics
    assert three["pairs/loss"] == one["pairs/loss"] == one["loss"]
    assert three["loss"] == pytest.approx(3 * one["loss"], rel=1e-6)
    assert three["grad_norm"] == pytest.approx(3 * one["grad_norm"], rel=1e-4)


def test_a_plan_of_interleaved_sources_compiles_the_dearest(labelled):
    program = program_of("data.paths=()", objective=mixed(labelled))
    batch = program.objective.abstract_batch(program.mesh, (3, 4, 4), 4)
    assert source_of(batch) == "pairs"  # two sides
    assert program.objective.roles == ("reference",)
    ours = program.objective.work(batch).flops
    assert ours == program_of().objective.work(batch).flops


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        ({}, "no source of batches has a share above 0"),
        ({"a b": {"objective": KTO}}, "source 'a b' must be a word"),
        ({"a": {"objective": KTO, "share": -1}}, "share=-1 must be at least 0"),
        ({"a": {"objective": KTO, "weight": 0.0}}, "weight=0.0 must be a positive number"),
        ({"a": {"objective": {"name": "gto"}}}, "objective.name='gto' must be one of"),
        ({"a": {"objective": {"name": "kto", "bet": 1.0}}}, "Did you mean beta"),
        ({"a": {"objective": {"name": "interleaved"}}}, "a source has an objective of its own"),
    ],
)
def test_sources_that_cannot_be_used_are_refused(sources, says):
    with pytest.raises(ValueError, match=says):
        tiny("unread", "data.paths=()", objective={"name": "interleaved", "sources": sources})


def test_samples_without_a_source_and_sources_without_samples_are_refused(labelled, tmp_path):
    one_device = jax.devices()[:1]
    config = tiny(labelled, objective=mixed(labelled))
    with pytest.raises(ValueError, match=r"must be empty.*objective.sources.NAME.paths"):
        diffusion.train(config, tmp_path / "run", one_device)
    config = tiny(labelled, "data.paths=()", objective=mixed(labelled, paths=()))
    with pytest.raises(ValueError, match=r"objective.sources.pairs.paths is empty"):
        diffusion.train(config, tmp_path / "run", one_device)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (functools.partial(dpo.Settings, beta=0.0), "beta=0.0 must be a positive number"),
        (functools.partial(dpo.Settings, sft_weight=-1.0), "sft_weight=-1.0 must be a number"),
        (functools.partial(kto.Settings, beta=-2.0), "beta=-2.0 must be a positive number"),
        (functools.partial(kto.Settings, desirable_weight=-1.0), "desirable_weight=-1.0 must be"),
        (functools.partial(sft.Settings, kl_weight=-0.5), "kl_weight=-0.5 must be a number"),
        (functools.partial(sft.Settings, short_captions=1.5), r"short_captions=1.5 must lie in"),
    ],
)
def test_settings_out_of_range_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        settings()


def test_the_margin_rises_where_the_policy_prefers_the_winner():
    errors = dpo.Errors(jnp.array([1.0]), jnp.array([3.0]))
    reference = dpo.Errors(jnp.array([2.0]), jnp.array([2.0]))
    found = dpo.dpo_loss(errors, reference, dpo.Settings(beta=2.0))
    assert found.reward_win > 0 > found.reward_lose
    assert float(found.loss[0]) == pytest.approx(float(-np.log(1 / (1 + np.exp(-2.0)))), rel=1e-6)
    assert optax.tree.norm(found.loss) < math.log(2)
