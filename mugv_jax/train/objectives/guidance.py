# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Guidance distillation: one evaluation a step in place of two (arXiv:2210.03142, section 3.1).

    loss = mean over noisy frames of |v_student(x_t, t, text) - v_teacher|^2                     (1)
    v_teacher = v(null) + guidance (v(text) - v(null)),   of the run's initial weights

x_t are noised clips, with the tasks and times of flow matching. Captions are never dropped, since
the student has no use for the null caption afterwards. Unlike in the paper the scale is fixed, so
that the network needs no input for it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax.numpy as jnp

from mugv_jax.axes import Array, Float
from mugv_jax.flow.guidance import Guidance
from mugv_jax.train.loss import velocity_loss
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import Noised, constrained_latent, noised, task_sums
from mugv_jax.train.objective import POLICY, Batch, Metrics, Policies, Shapes
from mugv_jax.train.objectives import flow_matching
from mugv_jax.train.objectives.flow_matching import BACKWARD, FlowMatching
from mugv_jax.train.reference import REFERENCE, guided_reference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of guidance distillation.

    guidance: guidance scale of the teacher, away from the null caption.

    Raises:
        ValueError: a scale out of range, or 1, which leaves nothing to learn.
    """

    name: str = "guidance"
    guidance: float = 4.0

    def __post_init__(self):
        Guidance(scale=self.guidance)
        if self.guidance == 1:
            raise ValueError("guidance=1.0 is no guidance, which leaves nothing to learn.")


class Prepared(flax.struct.PyTreeNode):
    """A prepared batch of flow matching, whose target is the teacher's velocity."""

    batch: flow_matching.Prepared
    teacher: Float[Array, "*k b f h w c"]


class GuidanceDistillation(FlowMatching):
    """Regression onto the guided velocity of the initial weights."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The teacher: the initial weights of the run."""
        return (REFERENCE,)

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The student is sampled without guidance."""
        return {"guidance": 1}

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Noised samples with their own captions, and the teacher's velocity."""
        draws, _ = self.draws(key, policies, batch)
        x_0 = constrained_latent(batch)
        sample = noised(x_0, draws)
        fields = {name: batch[name] for name in ("text", "text_mask", "fps")}

        def velocity(part: tuple[Noised, Mapping[str, Array]]) -> Array:
            return self.teacher(policies, *part)

        weight = self.loss_config.image_weight if x_0.shape[1] == 1 else 1.0
        prepared = flow_matching.Prepared(
            sample=sample,
            condition=self.denoiser.condition(batch),
            task=draws.task,
            weight=jnp.full(x_0.shape[:1], weight),
        )
        teacher = self.microbatches.map(velocity, (sample, fields))
        return Prepared(batch=prepared, teacher=teacher)

    def teacher(
        self, policies: Policies, sample: Noised, fields: Mapping[str, Array]
    ) -> Float[Array, "b f h w c"]:
        """Velocity that the student learns; fields: those of the batch that a condition needs."""
        return guided_reference(
            self.denoiser,
            policies,
            sample.x_t,
            jnp.max(sample.t, axis=1),
            sample.noisy,
            fields={**fields, "latent": sample.x_t},
            scale=self.settings.guidance,
        )

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Weighted mean of (1), and its unweighted sums by task."""
        sample = part.batch.sample
        v = self.denoiser.velocity(policies[POLICY], sample.x_t, sample.t, part.batch.condition)
        loss = velocity_loss(v, part.teacher, sample.noisy)
        return jnp.mean(loss * part.batch.weight), task_sums(loss, part.batch.task)

    def work(self, batch: Shapes) -> Work:
        """Work of a step: the student forward and backward, the teacher twice forward."""
        return with_teacher(super().work(batch), evaluations=2)


def with_teacher(one: Work, evaluations: int) -> Work:
    """Work of a step that also evaluates a teacher so many times without a gradient."""
    assert one.flops is not None
    return one._replace(flops=one.flops + evaluations * one.flops // (1 + BACKWARD))


OBJECTIVE = GuidanceDistillation
