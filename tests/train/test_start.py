# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A run that cannot start says why before its folder is made."""

import dataclasses
import types

import pytest

from mugv_jax.data.batches import Batches
from mugv_jax.sharding.mesh import make_mesh
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.train.inputs import check_weights
from mugv_jax.train.loop import run_in
from mugv_jax.train.metrics import Clock
from mugv_jax.train.program import Program
from mugv_jax.train.train_config import CheckpointConfig, DiTRunConfig, LogConfig
from mugv_jax.weights.load import read_config

WEIGHTS = demo_weights() / "dit.safetensors"


class NoBatches(Batches):
    def __init__(self):
        pass

    def __del__(self):
        pass


def program(**run):
    kind, config = read_config(WEIGHTS)
    settings = {"run": DiTRunConfig(**run), "checkpoint": CheckpointConfig(), "log": LogConfig()}
    made = Program.__new__(Program)  # what starting reads of it; nothing is compiled
    made.config, made.mesh = types.SimpleNamespace(**settings), make_mesh()
    made.kind, made.model = kind, config
    return made


def test_weights_of_another_size_are_refused_from_their_header(tmp_path):
    fitting = program(weights=str(WEIGHTS))
    check_weights(fitting, tmp_path / "run")
    fitting.model = dataclasses.replace(fitting.model, depth=fitting.model.depth + 1)
    with pytest.raises(ValueError, match="use the config of their size"):
        check_weights(fitting, tmp_path / "run")
    check_weights(program(), tmp_path / "run")


def test_a_run_that_cannot_start_leaves_no_folder(tmp_path):
    def no_weights():
        assert (tmp_path / "a" / "run" / "metrics.jsonl").exists()
        raise ValueError("no weights")

    with pytest.raises(ValueError, match="no weights"):
        run_in(tmp_path / "a" / "run", program(), NoBatches(), no_weights, clock=Clock())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_a_seed_that_no_key_takes_is_refused_by_name(seed):
    with pytest.raises(ValueError, match=r"seed=.* must lie in 0 to 4294967295"):
        DiTRunConfig(seed=seed)


def test_an_unknown_remat_is_refused_with_the_config():
    with pytest.raises(ValueError, match="remat='bogus' must be one of none, dots"):
        DiTRunConfig(remat="bogus")
