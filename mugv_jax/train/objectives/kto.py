# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Kahneman-Tversky optimisation (KTO) of a flow model (arXiv:2402.01306, arXiv:2404.04465).

    e(x)      = mean of |v(x_t, t) - (x_0 - noise)|^2 over the noisy frames of x                 (1)
    reward(x) = -beta / 2 (e_policy(x) - e_reference(x))                                         (2)
    baseline  = max(0, mean of reward over the whole batch), without a gradient                  (3)
    loss      = w_y (1 - sigmoid(y (reward - baseline))) + sft_weight e_policy where y = +1      (4)

Samples are single clips with a label y: +1 is desirable, -1 is not, as people give them who pass or
fail a clip. The baseline is that of all samples of a step, on all devices and in all microbatches.
"""

import dataclasses
import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Bool, Float, Int
from mugv_jax.data.fields import Fields, NumberField
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import Noised, constrained_latent, noised, task_sums
from mugv_jax.train.objective import POLICY, Batch, Metrics, Policies, Shapes
from mugv_jax.train.objectives.flow_matching import BACKWARD, FlowMatching
from mugv_jax.train.reference import REFERENCE, reward

DESIRABLE = "desirable"  # the field of the label: 1, or 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of KTO.

    beta: scale of the reward (2).
    desirable_weight, undesirable_weight: w_y in (4). Where one kind is rarer, its weight times its
        number should about equal that of the other (arXiv:2402.01306, section 4.2).
    sft_weight: weight of the flow-matching loss of desirable samples.

    Raises:
        ValueError: values out of range.
    """

    name: str = "kto"
    beta: float = 2000.0
    desirable_weight: float = 1.0
    undesirable_weight: float = 1.0
    sft_weight: float = 0.0

    def __post_init__(self):
        if not 0 < self.beta < math.inf:
            raise ValueError(f"beta={self.beta} must be a positive number, such as 2000.")
        for field in ("desirable_weight", "undesirable_weight", "sft_weight"):
            if not 0 <= getattr(self, field) < math.inf:
                raise ValueError(f"{field}={getattr(self, field)} must be a number from 0 up.")


class Prepared(flax.struct.PyTreeNode):
    """Prepared samples: noised, with condition, label, the reference's error, baseline and task."""

    sample: Noised
    condition: Any
    desirable: Bool[Array, "*k b"]
    reference: Float[Array, "*k b"]
    baseline: Float[Array, "*k b"]
    task: Int[Array, "*k b"]


def kto_baseline(rewards: Float[Array, "b"]) -> Float[Array, ""]:
    """Baseline (3), from the rewards of a whole batch."""
    return jax.lax.stop_gradient(jnp.maximum(jnp.mean(rewards), 0))


def kto_loss(
    policy: Float[Array, "b"],
    rewards: Float[Array, "b"],
    baseline: Float[Array, "*b"],
    desirable: Bool[Array, "b"],
    settings: Settings,
) -> Float[Array, "b"]:
    """Loss (4) of every sample, from the policy's errors (1), rewards (2) and the baseline (3)."""
    sign = jnp.where(desirable, 1.0, -1.0)
    weight = jnp.where(desirable, settings.desirable_weight, settings.undesirable_weight)
    loss = weight * (1 - jax.nn.sigmoid(sign * (rewards - baseline)))
    return loss + settings.sft_weight * jnp.where(desirable, policy, 0)


class Kto(FlowMatching):
    """KTO on labelled samples, with the policy's initial weights as the reference."""

    NUMBERS = ("fps", DESIRABLE)

    @classmethod
    def fields(cls, config: Any) -> Fields:
        """Fields of a sample: those of flow matching, and its label."""
        return (*super().fields(config), NumberField(DESIRABLE))

    @property
    def roles(self) -> tuple[str, ...]:
        """The reference: the initial weights of the run."""
        return (REFERENCE,)

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Noised samples, the reference's errors, and the baseline of the whole batch."""
        draws, batch = self.draws(key, policies, batch)
        sample = noised(constrained_latent(batch), draws)
        condition = self.denoiser.condition(batch)

        def errors(part: tuple[Noised, Any]) -> tuple[Array, Array]:
            policy, reference = (self.error(policies[p], *part) for p in (POLICY, REFERENCE))
            return policy, reference

        policy, reference = self.microbatches.map(errors, (sample, condition))
        baseline = kto_baseline(reward(policy, reference, self.settings.beta))
        return Prepared(
            sample=sample,
            condition=condition,
            desirable=batch[DESIRABLE] > 0.5,
            reference=reference,
            baseline=jnp.broadcast_to(baseline, policy.shape),
            task=draws.task,
        )

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Mean KTO loss (4), and metrics.

        baseline: the baseline (3).  reward: mean of (2).
        margin: by how much desirable samples are rewarded more than others, once per desirable
            sample and once per undesirable one: 2 mean(y reward), 0 at the reference.
        displacement: mean of e_policy - e_reference where samples are desirable; it rises when
            they become less likely.
        """
        policy = self.error(policies[POLICY], part.sample, part.condition)
        rewards = reward(policy, part.reference, self.settings.beta)
        loss = kto_loss(policy, rewards, part.baseline, part.desirable, self.settings)
        good = part.desirable.astype(jnp.float32)
        metrics = {
            "baseline": jnp.mean(part.baseline),
            "reward": jnp.mean(rewards),
            "margin": 2 * jnp.mean((2 * good - 1) * rewards),
            "displacement": jnp.mean(good * (policy - part.reference)),
        }
        return jnp.mean(loss), metrics | task_sums(policy, part.task)

    def validate(self, policies: Policies, batch: Batch) -> Any:
        """Flow-matching error of held-out desirable samples; see `FlowMatching.validate`."""
        desirable = jnp.asarray(batch[DESIRABLE] > 0.5, jnp.float32)
        return super().validate(policies, {**batch, "weight": batch["weight"] * desirable})

    def work(self, batch: Shapes) -> Work:
        """Work of a step: the policy forward twice and backward, the reference forward."""
        one = super().work(batch)
        assert one.flops is not None
        return one._replace(flops=one.flops + 2 * one.flops // (1 + BACKWARD))


OBJECTIVE = Kto
