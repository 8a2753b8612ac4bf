# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Results of training in the pipeline: a run in place of `dit.pt`, and an adapter."""

import argparse

import jax
import numpy as np
import pytest

from mugv_jax.commands.model_options import add_models, load_models
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.lora import LoraConfig, abstract_lora, merge
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.weights.adapter_files import write_adapter
from mugv_jax.weights.lora import Adapter, factors_of
from mugv_jax.weights.registry import abstract_variables
from tests.systems.mugv.folders import SMALL, write_published
from tests.weights.checkpoints import assert_trees_identical, in_memory
from tests.weights.training import save_steps, weights

LORA = LoraConfig(rank=2, alpha=2.0)
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("published"))


def factors():
    generator = np.random.default_rng(0)
    abstract = abstract_variables("mugv_dit", SMALL.dit)["params"]
    return jax.tree.map(
        lambda leaf: generator.standard_normal(leaf.shape, np.float32),
        unboxed(abstract_lora(abstract, LORA)),
    )


def test_a_run_and_an_adapter_make_the_model_of_the_command_line(published, tmp_path):
    params = weights(SMALL.dit, 5)
    run = save_steps(tmp_path / "run", SMALL.dit, {3: {"params": params}})
    trained = factors()
    adapter = Adapter(LORA, factors_of(in_memory(trained)))
    write_adapter(tmp_path / "adapter", adapter, "mugv_dit", SMALL.dit)
    parser = argparse.ArgumentParser()
    add_models(parser)
    words = ["--weights", str(published), "--dit", str(run), "--mesh", "tensor=2"]
    with load_models(parser.parse_args(words)).model("dit") as (_, variables):
        assert_trees_identical(variables["params"], params)
    words += ["--lora", str(tmp_path / "adapter")]
    with load_models(parser.parse_args(words)).model("dit") as (_, variables):
        jax.tree.map(
            lambda found, wanted: np.testing.assert_allclose(found, wanted, ROUNDING, ROUNDING),
            variables["params"],
            merge(params, trained, LORA),
        )


def test_an_adapter_that_does_not_fit_is_refused_before_anything_is_loaded(published, tmp_path):
    with pytest.raises(ValueError, match="no LoRA adapter of peft"):
        MugvModels.from_pretrained(published, lora=tmp_path)
    with pytest.raises(ValueError, match="there is no such file"):
        MugvModels.from_pretrained(published, dit=tmp_path / "absent")
