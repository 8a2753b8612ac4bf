# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Progressive distillation: the target is where the teacher's own sampler ends, on any mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.integrate import integrate
from mugv_jax.flow.schedule import sample_times
from mugv_jax.train.objectives import progressive
from tests.train.objectives.test_post_training import first_params, program_of, run
from tests.train.test_step import distance, null_text, numpy_batch

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
OBJECTIVE = {"name": "progressive", "steps": 2, "teacher_steps": 3, "guidance": 3.0}


def prepared(objective, guidance=3.0):
    batch = jax.tree.map(jnp.asarray, numpy_batch(0))
    program = program_of(objective={**objective, "guidance": guidance})
    policies = program.policies(
        {"policy": first_params()}, program.start({"params": first_params()})
    )
    part = jax.jit(program.objective.prepare)(jax.random.key(1), policies, batch)
    return program.objective, policies, batch, part


def test_a_step_is_the_same_on_any_mesh():
    alone, state = run(program_of("optimizer.learning_rate=0.001", objective=OBJECTIVE), steps=2)
    mesh = ("mesh.fsdp=2", "mesh.sequence=2", "run.accumulate=2", "optimizer.learning_rate=0.001")
    metrics, split = run(program_of(*mesh, objective=OBJECTIVE), steps=2)
    for ours, reference in zip(metrics, alone, strict=True):
        assert ours["loss"] == pytest.approx(reference["loss"], rel=1e-3)
        assert ours["loss"] > 1e-4
    assert distance(split.params, state.params) <= SHARDED
    assert distance(state.params, first_params()) > 1e-4
    assert distance(state.extra["reference"], first_params()) == 0


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_step_along_the_target_ends_where_the_teachers_sampler_does(guidance):
    objective, policies, batch, part = prepared(OBJECTIVE, guidance)
    sample = part.batch.sample
    t = np.asarray(sample.t.max(axis=1))
    times = sample_times(6, objective.shift(batch["latent"].shape[1:4]))
    assert set(t) == set(times[[0, 3]])  # the student's two steps, both drawn
    null = {
        name: jnp.broadcast_to(getattr(null_text(), name)[None], batch[name].shape)
        for name in ("text", "text_mask")
    }
    for begin in (0, 3):
        ended = integrate(
            objective.denoiser, policies["reference"], sample.x_t, times=times[begin : begin + 4],
            noisy=sample.noisy, positive=objective.denoiser.condition(batch),
            negative=None if guidance == 1 else objective.denoiser.condition({**batch, **null}),
            guidance=Guidance(scale=guidance),
        )  # fmt: skip
        rows = t == times[begin]
        moved = sample.x_t + part.teacher * (times[begin] - times[begin + 3])
        np.testing.assert_allclose(moved[rows], ended[rows], rtol=1e-4, atol=1e-5)
    given = ~np.asarray(sample.noisy)
    assert given.any()
    assert not np.asarray(part.teacher)[given].any()
    assert objective.defaults == {"steps": 2, "guidance": 1, "shift": None}


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"steps": 0}, "steps=0"), ({"teacher_steps": 1}, "teacher_steps=1 must be at least 2")],
)
def test_steps_that_teach_nothing_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        progressive.Settings(**settings)
