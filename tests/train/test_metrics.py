# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax.numpy as jnp
import pytest

from mugv_jax.train.metrics import LAST, Clock, Interval, Work

WORK = Work(shape=(2, 3), samples=2, tokens=6, flops=None)


def metrics(loss, **others):
    return {name: jnp.float32(1) for name in LAST} | {
        name: jnp.float32(value) for name, value in {"loss": loss, **others}.items()
    }


def test_means_are_over_the_steps_that_measured():
    """Earlier steps lack the metrics of a later phase, and broken steps do not count."""
    stretch = Interval(Clock())
    for step in (
        metrics(1),
        metrics(2, critic=4),
        metrics(jnp.nan, critic=9),
        metrics(3, critic=8),
    ):
        stretch.add(step, WORK)
    scalars = stretch.scalars(devices=1, peak_flops=None)
    assert scalars["train/loss"] == 2
    assert scalars["train/critic"] == 6
    assert scalars["speed/samples_per_second"] == pytest.approx(
        2 / scalars["speed/seconds_per_step"]
    )
