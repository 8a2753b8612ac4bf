# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward back-propagation through sampling (ContentV, arXiv:2506.05343, section 6).

    x_0  = N Euler steps from noise, of which K random ones have a gradient (flow/integrate.py)  (1)
    kl   = mean over the K steps of |v_policy(x_k) - v_reference(x_k)|^2                         (2)
    loss = -reward(decode(x_0)) + kl_weight kl + sft_weight e_policy(real clip)                  (3)

The inputs of the network are stopped, so no product of Jacobians along the path arises. Captions
and the shape of the latents come from the batch; its latents are used for the last term only.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float, Int
from mugv_jax.bounds import require_at_least
from mugv_jax.data.fields import Fields
from mugv_jax.flow.integrate import integrate_chosen
from mugv_jax.train.decoding import VAE
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import constrained_latent, noised
from mugv_jax.train.objective import POLICY, Batch, Metrics, Policies, Shapes
from mugv_jax.train.objectives.flow_matching import BACKWARD
from mugv_jax.train.reference import REFERENCE
from mugv_jax.train.rewards import REWARDS, Rewards, check_described
from mugv_jax.train.sampling import (
    Sampling,
    SamplingSettings,
    require_weights,
    row_mean_square,
    sampling_noise,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(SamplingSettings):
    """Settings of reward back-propagation, besides those of `SamplingSettings`.

    rewards: name -> {"load": function that makes it, "weight": its weight, and its options}.
    chosen: number K of steps with a gradient in (1), drawn anew in every step of training.
    kl_weight: weight of (2) in (3).  sft_weight: weight of the real clip's error in (3).

    Raises:
        ValueError: values out of range.
    """

    name: str = "reward"
    rewards: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    decode: tuple[int, ...] = (0,)
    steps: int = 25
    chosen: int = 2
    kl_weight: float = 0.0
    sft_weight: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        check_described(self.rewards)
        require_at_least(1, self, "chosen")
        require_weights(self, "kl_weight", "sft_weight")
        if self.chosen > self.steps:
            raise ValueError(f"chosen={self.chosen} must be at most steps={self.steps}.")


class Prepared(flax.struct.PyTreeNode):
    """A prepared batch.

    texts: noise to sample from and the batch's fields but its latents.
    chosen: numbers of the steps with a gradient, the same in every row.
    real: the noised real clips and their condition; None without the last term of (3).
    """

    texts: Any
    chosen: Int[Array, "*b k"]
    real: Any


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RewardBackpropagation(Sampling):
    """Reward back-propagation, with the policy's initial weights as the reference."""

    rewards: Rewards

    @classmethod
    def further_fields(cls, settings: Any) -> Fields:
        """Fields that the rewards read."""
        return Rewards.of(settings.rewards).fields

    @classmethod
    def build(cls, config: Any, mesh: Mesh, **parts: Any) -> "RewardBackpropagation":
        """The objective of a run on `mesh`; config: a `DiTTrainConfig`.

        Raises:
            ValueError: as in `Sampling.build`, or rewards that cannot be made.
        """
        rewards = Rewards.of(config.objective.rewards)
        found = super().build(config, mesh, rewards=rewards, further=rewards.fields, **parts)
        assert isinstance(found, cls)
        return found

    def given(self, *, abstract: bool) -> dict[str, Any]:
        """Variables of the VAE and of the rewards."""
        variables = self.rewards.variables(abstract=abstract)
        return super().given(abstract=abstract) | {REWARDS: variables}

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Noise to sample from, the chosen steps, and real clips if they are trained on."""
        noise_key, chosen_key, real_key = jax.random.split(key, 3)
        rows, steps = len(batch["latent"]), self.settings.steps
        real = None
        if self.settings.sft_weight:
            draws, dropped = self.draws(real_key, policies, batch)
            sample = noised(constrained_latent(dropped), draws)
            real = sample, self.denoiser.condition(dropped)
        noise = sampling_noise(noise_key, self.cut(batch)["latent"].shape)
        chosen = jax.random.permutation(chosen_key, steps)[: self.settings.chosen]
        return Prepared(
            texts=self.without_latents(batch) | {"noise": noise},
            chosen=jnp.broadcast_to(chosen[None], (rows, len(chosen))),
            real=real,
        )

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Mean loss (3), and metrics.

        reward: weighted sum of the rewards.  reward_NAME: each of them, as it is.
        distance: the mean of (2), by which reward hacking shows first.
        """
        found = integrate_chosen(
            self.denoiser, policies[POLICY], part.texts["noise"], chosen=part.chosen[0],
            reference=policies[REFERENCE], **self.options(policies, part.texts),
        )  # fmt: skip
        pixels = self.decoder(policies[VAE], found.x)
        total, each = self.rewards(policies[REWARDS], pixels, part.texts)
        assert found.reference is not None
        distance = jnp.mean(jax.vmap(row_mean_square)(found.velocity - found.reference))
        loss = -jnp.mean(total) + self.settings.kl_weight * distance
        metrics = {"reward": jnp.mean(total), "distance": distance}
        metrics |= {f"reward_{name}": jnp.mean(x) for name, x in each.items()}
        if part.real is not None:
            error = jnp.mean(self.error(policies[POLICY], *part.real))
            loss, metrics["sft"] = loss + self.settings.sft_weight * error, error
        return loss, metrics

    def work(self, batch: Shapes) -> Work:
        """Work of the network: sampling, the chosen steps with their gradient, the reference in
        these, and real clips. Decoding, rewards, and what is computed again to save memory are not
        counted.
        """
        cut = jax.eval_shape(lambda x: self.cut({"latent": x}), batch["latent"])
        real, one = super().work(batch), super().work(dict(batch, **cut))
        assert real.flops is not None
        assert one.flops is not None
        forward = one.flops // (1 + BACKWARD)
        sides = 1 if self.settings.guidance == 1 else 2
        chosen = self.settings.chosen * sides * (1 + BACKWARD + 1)  # and the reference
        flops = forward * (self.settings.steps * sides + chosen)
        tokens = one.tokens
        if self.settings.sft_weight:
            flops, tokens = flops + real.flops, tokens + real.tokens
        return real._replace(tokens=tokens, flops=flops)


OBJECTIVE = RewardBackpropagation
