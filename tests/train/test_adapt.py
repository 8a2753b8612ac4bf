# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Recipes on short runs; `tests/data/test_adapt.py` has those on few samples."""

import dataclasses
import logging

import pytest

from mugv_jax.train.adapt import fitted_intervals, fitted_to_steps
from mugv_jax.train.optimizer import learning_rate
from tests.train.runs import tiny


def recipe(**optimizer):
    """A config of 40 steps with these fields of its optimizer."""
    config = tiny("samples", "run.steps=40", "log.validate_every=500", "log.sample_every=100")
    return dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, **optimizer))


@pytest.fixture(autouse=True)
def info(caplog):
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize(
    ("optimizer", "warmup", "decay"),
    [
        ({"schedule": "constant", "warmup_steps": 39}, 39, 0),
        ({"schedule": "constant", "warmup_steps": 40}, 4, 0),
        ({"schedule": "cosine", "warmup_steps": 200}, 4, 0),
        ({"schedule": "annealed", "warmup_steps": 10, "decay_steps": 20}, 10, 20),
        ({"schedule": "annealed", "warmup_steps": 30, "decay_steps": 20}, 4, 20),
        ({"schedule": "annealed", "warmup_steps": 30, "decay_steps": 2000}, 4, 8),
    ],
)
def test_warm_up_and_decay_fit_into_the_run(optimizer, warmup, decay, caplog):
    config = recipe(**optimizer)
    fitted = fitted_to_steps(config).optimizer
    assert (fitted.warmup_steps, fitted.decay_steps) == (warmup, decay)
    learning_rate(fitted, config.run.steps)
    changed = (warmup != optimizer["warmup_steps"]) + (decay != optimizer.get("decay_steps", 0))
    assert len(caplog.messages) == changed
    assert all("too long for a run of 40 steps: it takes" in each for each in caplog.messages)


def test_what_a_user_set_is_kept_or_refused(caplog):
    asked = ("optimizer.warmup_steps", "optimizer.decay_steps", "log.validate_every")
    config = recipe(schedule="cosine", warmup_steps=200)
    assert fitted_to_steps(config, asked) == config
    with pytest.raises(ValueError, match="longer than the 40 steps of the run: make them shorter"):
        learning_rate(config.optimizer, config.run.steps)
    fitted = fitted_intervals(config, asked).log
    assert (fitted.validate_every, fitted.sample_every) == (500, 40)
    assert len(caplog.messages) == 1


def test_a_run_shorter_than_its_interval_validates_at_its_end(caplog):
    fitted = fitted_intervals(recipe())
    assert (fitted.log.validate_every, fitted.log.sample_every) == (40, 40)
    assert caplog.messages[0] == (
        "log.validate_every=500 is longer than the run of 40 steps, which validates once, at its "
        "end."
    )
    assert fitted_intervals(fitted) == fitted
