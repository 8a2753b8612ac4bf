# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.train.tasks import TASKS, VIDEO_TASKS, TaskConfig, draw, noisy_frames

EVERY = TaskConfig(
    probability=dict(zip(VIDEO_TASKS, (0.3, 0.25, 0.05, 0.1, 0.1, 0.2))),
    drop_caption={"t2v": 0.1, "i2v": 0.5, "last": 1.0, "continuation": 0.0},
)
SAMPLES = 20_000
SPREAD = 0.015  # four deviations of a share of SAMPLES draws


def given(task, frames, seed=0):
    tasks = jnp.full(200, TASKS.index(task))
    return ~np.asarray(noisy_frames(jax.random.key(seed), tasks, frames))


@pytest.mark.parametrize("frames", [2, 3, 7])
def test_each_task_gives_the_frames_that_it_says(frames):
    first, last = np.arange(frames) == 0, np.arange(frames) == frames - 1
    assert not given("t2v", frames).any()
    assert (given("i2v", frames) == first).all()
    assert (given("last", frames) == last).all()
    assert (given("first_last", frames) == (first | (last & (frames > 2)))).all()
    single = given("random", frames)
    assert (single.sum(axis=1) == 1).all()
    assert single.any(axis=0).all()
    start = given("continuation", frames)
    lengths = start.sum(axis=1)
    assert set(lengths) == set(range(1, frames))
    assert (start == (np.arange(frames) < lengths[:, None])).all()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_something_is_left_to_predict(task, frames):
    if frames == 1 and task != "t2i":
        return
    assert (~given(task, frames)).any(axis=1).all()


def test_shares_of_tasks_and_dropped_captions_are_those_of_the_config():
    drawn = draw(jax.random.key(3), SAMPLES, 5, EVERY)
    task, dropped = np.asarray(drawn.task), np.asarray(drawn.dropped)
    for name, share in EVERY.probability.items():
        chosen = task == TASKS.index(name)
        assert abs(chosen.mean() - share) < SPREAD, name
        expected = EVERY.drop_caption.get(name, 0.1)
        assert abs(dropped[chosen].mean() - expected) < 0.06, name


def test_a_single_frame_is_an_image():
    drawn = draw(jax.random.key(0), 100, 1, EVERY)
    assert (np.asarray(drawn.task) == TASKS.index("t2i")).all()
    assert np.asarray(drawn.noisy).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"probability": {"t2v": 0.5}}, "sums to 0.5, must be 1"),
        ({"probability": {"t2v": 1.0, "t2x": 0.0}}, "'t2x'; the tasks are t2v"),
        ({"probability": {"t2i": 1.0}}, "'t2i'"),
        ({"probability": {"t2v": 1.5, "i2v": -0.5}}, r"t2v=1.5 must lie in \[0, 1\]"),
        ({"drop_caption": {"i2v": 1.1}}, r"drop_caption.i2v=1.1 must lie in \[0, 1\]"),
    ],
)
def test_bad_probabilities_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        TaskConfig(**fields)
