# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Guidance distillation: the target is the guided teacher, and a step is the same on any mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.sampler import guided_velocity
from mugv_jax.train.objectives import guidance
from mugv_jax.train.tasks import TASKS
from tests.train.objectives.test_post_training import first_params, program_of, run
from tests.train.test_step import distance, null_text, numpy_batch

SHARDED = 1e-5  # relative L2: the order of float32 sums differs
OBJECTIVE = {"name": "guidance", "guidance": 3.0}


def test_a_step_is_the_same_on_any_mesh():
    alone, state = run(program_of("optimizer.learning_rate=0.001", objective=OBJECTIVE), steps=2)
    mesh = ("mesh.fsdp=2", "mesh.sequence=2", "run.accumulate=2", "optimizer.learning_rate=0.001")
    metrics, split = run(program_of(*mesh, objective=OBJECTIVE), steps=2)
    for ours, reference in zip(metrics, alone, strict=True):
        assert ours["loss"] == pytest.approx(reference["loss"], rel=1e-3)
        assert ours["loss"] > 1e-4  # the student starts without guidance
    assert distance(split.params, state.params) <= SHARDED
    assert distance(state.params, first_params()) > 1e-4
    assert distance(state.extra["reference"], first_params()) == 0


def test_the_target_is_the_guided_velocity_of_every_samples_own_caption():
    program = program_of("tasks.drop_caption.t2v=1.0", objective=OBJECTIVE)
    objective, batch = program.objective, jax.tree.map(jnp.asarray, numpy_batch(0))
    policies = program.policies(
        {"policy": first_params()}, program.start({"params": first_params()})
    )
    part = jax.jit(objective.prepare)(jax.random.key(1), policies, batch)
    sample = part.batch.sample
    assert (np.asarray(part.batch.task) == TASKS.index("t2v")).any()
    null = {
        name: jnp.broadcast_to(getattr(null_text(), name)[None], batch[name].shape)
        for name in ("text", "text_mask")
    }
    expected = guided_velocity(
        objective.denoiser, policies["reference"], sample.x_t, sample.t.max(axis=1), sample.noisy,
        objective.denoiser.condition(batch), objective.denoiser.condition({**batch, **null}),
        guidance=Guidance(scale=3.0),
    )  # fmt: skip
    np.testing.assert_allclose(part.teacher, expected, rtol=1e-4, atol=1e-5)
    assert objective.defaults == {"guidance": 1}


@pytest.mark.parametrize(
    ("scale", "says"), [(1.0, "guidance=1.0 is no guidance"), (-1.0, "guidance scale=-1.0")]
)
def test_scales_that_teach_nothing_are_refused(scale, says):
    with pytest.raises(ValueError, match=says):
        guidance.Settings(guidance=scale)
