# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import re
import shutil

import jax
import numpy as np
import pytest

from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.lora import LoraConfig, abstract_lora, merge
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.weights import store
from mugv_jax.weights.convert import convert
from mugv_jax.weights.describe import describe
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.orbax_files import steps
from mugv_jax.weights.registry import abstract_variables
from mugv_jax.weights.store import refuse_other_model, training_metadata
from tests.weights import checkpoints
from tests.weights.training import save_steps, weights

CONFIG = DiTConfig(depth=2, width=48, num_heads=2, text_dim=16)
LORA = LoraConfig(rank=2, alpha=3.0)
# One float32 product and sum, on the host and on the device.
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    states = {
        step: {"params": weights(CONFIG, step), "ema": weights(CONFIG, step + 100)}
        for step in (9, 10)
    }
    return save_steps(tmp_path_factory.mktemp("training") / "run", CONFIG, states)


def random_factors(seed):
    """Low-rank factors of which none is zero."""
    generator = np.random.default_rng(seed)
    shapes = unboxed(abstract_lora(abstract_variables("mugv_dit", CONFIG)["params"], LORA))
    return jax.tree.map(lambda leaf: generator.standard_normal(leaf.shape, np.float32), shapes)


@pytest.fixture(scope="module")
def lora_run(tmp_path_factory):
    factors = {name: random_factors(seed) for seed, name in enumerate(("params", "ema"))}
    state = factors | {"frozen": weights(CONFIG, 3)}
    run = save_steps(tmp_path_factory.mktemp("lora") / "run", CONFIG, {1: state}, LORA)
    return run, state


def test_a_run_is_read_at_its_newest_step(run):
    assert [path.name for path in steps(run)] == ["9", "10"]
    newest = weights(CONFIG, 10)
    for path in (run, run / "checkpoints", run / "checkpoints" / "10"):
        config, variables = load(path)
        assert config == CONFIG
        checkpoints.assert_trees_identical(variables["params"], newest)
    _, variables = load(run / "checkpoints" / "9")
    checkpoints.assert_trees_identical(variables["params"], weights(CONFIG, 9))


def test_ema_reads_the_average(run):
    with open_source(run, ema=True) as source:
        found = source.read("blocks.1.mlp.fc1.bias")
    np.testing.assert_array_equal(found, weights(CONFIG, 110)["blocks"]["mlp"]["up"]["bias"][1])


def test_a_run_survives_conversion_to_published_files_and_back(run, tmp_path):
    convert(run, tmp_path / "dit.pt")
    convert(tmp_path / "dit.pt", tmp_path / "orbax")
    _, variables = load(tmp_path / "orbax")
    checkpoints.assert_trees_identical(variables["params"], weights(CONFIG, 10))
    convert(run, tmp_path / "half.pt", ema=True, dtype="bfloat16")
    convert(run, tmp_path / "ema", ema=True)
    convert(tmp_path / "ema", tmp_path / "ema.pt", dtype="bfloat16")
    checkpoints.assert_identical(
        checkpoints.read(tmp_path / "half.pt"), checkpoints.read(tmp_path / "ema.pt")
    )


def test_frozen_weights_are_read_too(tmp_path):
    params = weights(CONFIG, 1)
    frozen = {"text_embed": params.pop("text_embed")}
    ema = weights(CONFIG, 2)
    del ema["text_embed"]
    save_steps(tmp_path, CONFIG, {5: {"params": params, "frozen": frozen, "ema": ema}})
    _, variables = load(tmp_path)
    checkpoints.assert_trees_identical(variables["params"], weights(CONFIG, 1))
    with open_source(tmp_path, ema=True) as source:
        found = source.read("y_embedder.y_proj.fc1.bias")
        np.testing.assert_array_equal(found, frozen["text_embed"]["mlp"]["up"]["bias"])


@pytest.mark.parametrize("average", [False, True])
def test_low_rank_updates_are_merged(lora_run, tmp_path, average):
    run, state = lora_run
    expected = merge(state["frozen"], state["ema" if average else "params"], LORA)
    convert(run, tmp_path / "dit", ema=average)
    _, variables = load(tmp_path / "dit")
    jax.tree.map(
        lambda found, wanted: np.testing.assert_allclose(found, wanted, ROUNDING, ROUNDING),
        variables["params"],
        expected,
    )
    assert not np.array_equal(
        variables["params"]["blocks"]["mlp"]["up"]["kernel"],
        state["frozen"]["blocks"]["mlp"]["up"]["kernel"],
    )


def test_weights_beneath_low_rank_updates_may_be_stored_elsewhere(lora_run, tmp_path):
    whole, state = lora_run
    base = save_steps(tmp_path / "base", CONFIG, {1: {"params": state["frozen"]}})
    run = save_steps(
        tmp_path / "run", CONFIG, {1: {"params": state["params"]}}, LORA, weights=str(base)
    )
    _, expected = load(whole)
    _, variables = load(run)
    checkpoints.assert_trees_identical(variables, expected)
    shutil.rmtree(base)
    with pytest.raises(ValueError, match=r"lie elsewhere.*there is no such file.*--format peft"):
        open_source(run)
    convert(run, tmp_path / "adapter", format="peft")
    with pytest.raises(ValueError, match="kept no running average"):
        convert(run, tmp_path / "averaged", format="peft", ema=True)


def test_description_and_config_are_read_from_a_run(run):
    assert read_config(run, "mugv_dit") == ("mugv_dit", CONFIG)
    described = describe(run)
    assert (described.kind, described.format) == ("mugv_dit", "training")
    assert described.parameters == sum(leaf.size for leaf in jax.tree.leaves(weights(CONFIG, 0)))
    assert described.file_bytes == describe(run / "checkpoints" / "10").file_bytes
    with pytest.raises(ValueError, match="holds mugv_dit, not t5_encoder"):
        read_config(run, "t5_encoder")


def test_a_missing_average_is_refused(tmp_path):
    save_steps(tmp_path, CONFIG, {5: {"params": weights(CONFIG, 1)}})
    with pytest.raises(ValueError, match=r"5: this run kept no running average"):
        open_source(tmp_path, ema=True)


def test_incomplete_and_damaged_checkpoints_are_refused(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    newest = copy / "checkpoints" / "10"
    shutil.rmtree(newest / "state" / "d")
    shutil.rmtree(newest / "state" / "ocdbt.process_0")
    (newest / "state" / "_METADATA").write_text("{")
    with pytest.raises(ValueError, match=r"10/state: a damaged training checkpoint"):
        open_source(copy)
    (newest / "meta" / "metadata").write_text("{")
    with pytest.raises(ValueError, match=r"10/meta: a damaged training checkpoint"):
        open_source(copy)
    shutil.rmtree(newest / "state")  # as a save that was killed leaves it
    assert [path.name for path in steps(copy)] == ["9"]
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="no checkpoint in this folder"):
        open_source(tmp_path / "empty")


def test_checkpoints_of_another_model_or_layout_are_refused(run, tmp_path, monkeypatch):
    other = DiTConfig(depth=2, width=48, num_heads=4, text_dim=16)
    with pytest.raises(ValueError, match=re.escape("num_heads=2 (not 4)")):
        refuse_other_model(run, training_metadata("mugv_dit", CONFIG), "mugv_dit", other)
    with pytest.raises(ValueError, match="holds mugv_dit, not mugv_vae"):
        refuse_other_model(run, training_metadata("mugv_dit", CONFIG), "mugv_vae", other)
    refuse_other_model(run, training_metadata("mugv_dit", CONFIG), "mugv_dit", CONFIG)
    with monkeypatch.context() as patch:
        patch.setattr(store, "layout", lambda _table: "another")
        with pytest.raises(ValueError, match="laid mugv_dit out differently"):
            open_source(run)
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    meta = copy / "checkpoints" / "10" / "meta" / "metadata"
    stated = json.loads(meta.read_text())
    stated["config"]["width"] = 96
    meta.write_text(json.dumps(stated))
    with pytest.raises(ValueError, match=r"final/linear/kernel is \(48, 192\), must be \(96"):
        open_source(copy)
