# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Direct preference optimisation (DPO) of a flow model (arXiv:2311.12908, arXiv:2501.13918).

    e(x)      = mean of |v(x_t, t) - (x_0 - noise)|^2 over the noisy frames of x                 (1)
    reward(x) = -beta / 2 (e_policy(x) - e_reference(x))                                         (2)
    loss      = -log sigmoid(reward(win) - reward(lose)) + sft_weight e_policy(win)              (3)

Both sides of a pair have the same time, noise, given frames and caption. The reference is the
policy at the start of the run.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float, Int
from mugv_jax.data.fields import Fields
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import Noised, constrained_latent, noised, task_sums
from mugv_jax.train.objective import POLICY, Batch, Metrics, Policies, Shapes
from mugv_jax.train.objectives.flow_matching import BACKWARD, FlowMatching
from mugv_jax.train.reference import REFERENCE, reward

LOSE = "lose"  # the field of the loser's latent; "latent" is the winner's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of DPO.

    beta: scale of the reward (2); published values are 500 to 5000, for errors that are means.
    sft_weight: weight of the winner's flow-matching loss in (3), which prevents its displacement;
        0 is plain DPO.

    Raises:
        ValueError: values out of range.
    """

    name: str = "dpo"
    beta: float = 2000.0
    sft_weight: float = 0.0

    def __post_init__(self):
        if not 0 < self.beta < math.inf:
            raise ValueError(f"beta={self.beta} must be a positive number, such as 2000.")
        if not 0 <= self.sft_weight < math.inf:
            raise ValueError(f"sft_weight={self.sft_weight} must be a number from 0 up.")


class Errors(NamedTuple):
    """Errors (1) of both sides of every pair."""

    win: Float[Array, "b"]
    lose: Float[Array, "b"]


class Preference(NamedTuple):
    """Loss (3) and rewards (2) of every pair."""

    loss: Float[Array, "b"]
    reward_win: Float[Array, "b"]
    reward_lose: Float[Array, "b"]


class Prepared(flax.struct.PyTreeNode):
    """Prepared pairs: both sides noised, their condition, the reference's errors and the task."""

    win: Noised
    lose: Noised
    condition: Any
    reference: Any
    task: Int[Array, "*k b"]


def dpo_loss(policy: Errors, reference: Errors, settings: Settings) -> Preference:
    """DPO loss (3) of every pair, from the errors of policy and reference."""
    win, lose = (
        reward(ours, theirs, settings.beta) for ours, theirs in zip(policy, reference, strict=True)
    )
    loss = -jax.nn.log_sigmoid(win - lose) + settings.sft_weight * policy.win
    return Preference(loss, win, lose)


class Dpo(FlowMatching):
    """DPO on preference pairs, with the policy's initial weights as the reference."""

    LATENTS = ("latent", LOSE)

    @classmethod
    def fields(cls, config: Any) -> Fields:
        """Fields of a pair: those of the winner, and the loser's latent."""
        winner = super().fields(config)
        return (*winner, dataclasses.replace(winner[0], name=LOSE))

    @property
    def roles(self) -> tuple[str, ...]:
        """The reference: the initial weights of the run."""
        return (REFERENCE,)

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Both sides noised with the same time and noise, and the reference's errors."""
        draws, batch = self.draws(key, policies, batch)
        win, lose = (noised(constrained_latent(batch, name), draws) for name in self.LATENTS)
        condition = self.denoiser.condition(batch)
        reference = self.microbatches.map(
            lambda part: self._errors(policies[REFERENCE], *part), (win, lose, condition)
        )
        return Prepared(
            win=win, lose=lose, condition=condition, reference=reference, task=draws.task
        )

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Mean DPO loss (3), and metrics.

        accuracy: share of pairs whose winner has the larger reward.
        margin: mean of reward(win) - reward(lose).
        displacement: mean of e_policy(win) - e_reference(win); it rises when the winner becomes
            less likely, the known failure mode of DPO.
        """
        policy = self._errors(policies[POLICY], part.win, part.lose, part.condition)
        found = dpo_loss(policy, part.reference, self.settings)
        margin = found.reward_win - found.reward_lose
        metrics = {
            "accuracy": jnp.mean((margin > 0).astype(jnp.float32)),
            "margin": jnp.mean(margin),
            "reward_win": jnp.mean(found.reward_win),
            "reward_lose": jnp.mean(found.reward_lose),
            "displacement": jnp.mean(policy.win - part.reference.win),
        }
        return jnp.mean(found.loss), metrics | task_sums(policy.win, part.task)

    def work(self, batch: Shapes) -> Work:
        """Work on both sides: forward and backward of the policy, forward of the reference."""
        one = super().work(batch)
        assert one.flops is not None
        reference = one.flops // (1 + BACKWARD)
        return one._replace(tokens=2 * one.tokens, flops=2 * (one.flops + reference))

    def _errors(self, variables: Any, win: Noised, lose: Noised, condition: Any) -> Errors:
        return Errors(*(self.error(variables, side, condition) for side in (win, lose)))


OBJECTIVE = Dpo
