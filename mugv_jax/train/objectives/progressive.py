# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Progressive distillation: one step in place of several (arXiv:2202.00512).

    x_t   = (1 - t) x_0 + t noise,   t one of the student's times t_k, drawn for every sample
    x_s   = end of the teacher's Euler steps from x_t to s = t_(k+1), without a gradient         (1)
    v     = (x_s - x_t) / (t - s)                                                                (2)
    loss  = mean over noisy frames of |v_student(x_t, t, text) - v|^2

A step of the student along v ends where the teacher's steps do. The teacher is the run's initial
weights, with guidance, and the student starts there. With two of its steps for one of the student,
run after run, this is the paper's halving; more in a run save the students between. Unlike a match
of distributions, it learns what the teacher makes of every noise, so that its videos should differ
as much. Captions are never dropped. The loss is the velocity's, without a weight of the time.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Latent
from mugv_jax.bounds import require_at_least
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.path import frame_times, of_rows
from mugv_jax.flow.sampler import moved
from mugv_jax.flow.schedule import sample_times
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import Draws, Noised
from mugv_jax.train.objective import Batch, Policies, Shapes
from mugv_jax.train.objectives.flow_matching import FlowMatching, shape_of
from mugv_jax.train.objectives.guidance import GuidanceDistillation, with_teacher
from mugv_jax.train.reference import guided_reference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of progressive distillation.

    steps: steps of the student, at the sampler's times, shifted as `loss.shift` says.
    teacher_steps: steps of the teacher for each of them.
    guidance: guidance scale of the teacher, away from the null caption; 1 is off.

    Raises:
        ValueError: values out of range.
    """

    name: str = "progressive"
    steps: int = 4
    teacher_steps: int = 2
    guidance: float = 1.0

    def __post_init__(self):
        require_at_least(1, self, "steps")
        require_at_least(2, self, "teacher_steps")
        Guidance(scale=self.guidance)


class ProgressiveDistillation(GuidanceDistillation):
    """Regression onto the mean velocity of several of the teacher's steps."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """How the student is sampled."""
        shift = None if self.loss_config.shift else 1
        return {"steps": self.settings.steps, "guidance": 1, "shift": shift}

    def draws(self, key: Array, policies: Policies, batch: Batch) -> tuple[Draws, Batch]:
        """(draws at the student's times, the batch with some captions dropped)."""
        draws, dropped = super().draws(key, policies, batch)
        settings, (rows, *_) = self.settings, draws.t.shape
        times = sample_times(settings.steps, self.shift(shape_of(batch["latent"])))
        number = jax.random.randint(jax.random.fold_in(key, 1), (rows,), 0, settings.steps)
        return draws.replace(t=frame_times(jnp.asarray(times)[number], draws.noisy)), dropped

    def teacher(
        self, policies: Policies, sample: Noised, fields: Mapping[str, Array]
    ) -> Float[Array, "b f h w c"]:
        """Mean velocity (2) of the teacher's steps (1)."""
        settings, t = self.settings, jnp.max(sample.t, axis=1)
        count = settings.teacher_steps
        times = jnp.asarray(sample_times(settings.steps * count, self.shift(shape_of(sample.x_t))))
        first = jnp.argmin(jnp.abs(times[:, None] - t[None]), axis=0)

        def step(x: Latent, number: Array) -> tuple[Latent, None]:
            now, after = times[first + number], times[first + number + 1]
            v = guided_reference(
                self.denoiser, policies, x, now, sample.noisy,
                fields={**fields, "latent": x}, scale=settings.guidance,
            )  # fmt: skip
            return moved(x, v, of_rows(now), of_rows(after), sample.noisy), None

        x_s, _ = jax.lax.scan(step, sample.x_t, jnp.arange(count))
        return (x_s - sample.x_t) / of_rows(t - times[first + count])

    def work(self, batch: Shapes) -> Work:
        """Work of a step: the student forward and backward, the teacher's steps forward."""
        settings = self.settings
        evaluations = settings.teacher_steps * (1 if settings.guidance == 1 else 2)
        return with_teacher(FlowMatching.work(self, batch), evaluations)


OBJECTIVE = ProgressiveDistillation
