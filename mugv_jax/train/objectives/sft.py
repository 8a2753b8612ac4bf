# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning (SFT) that stays close to its start (ContentV, arXiv:2506.05343, 6.1).

    loss = flow matching + kl_weight * mean of |v_policy - v_reference|^2 over noisy frames      (1)

Two Gaussian steps whose means are the velocities have a Kullback-Leibler divergence in proportion
to that mean square, hence the name of the weight. Every clip may have a short caption beside its
own, and one of the two is drawn in every step. MUG-V's annealed SFT is plain flow matching on
chosen clips with a learning rate that falls to 0, and an average of checkpoints (configs/post/sft).
"""

import dataclasses
import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from mugv_jax.axes import Array, Float
from mugv_jax.data.fields import Fields, TextField
from mugv_jax.train.loss import velocity_loss
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import task_sums
from mugv_jax.train.objective import POLICY, Batch, Metrics, Policies, Shapes
from mugv_jax.train.objectives import flow_matching
from mugv_jax.train.objectives.flow_matching import BACKWARD, FlowMatching
from mugv_jax.train.reference import REFERENCE

SHORT = "text_short"  # the field of the short caption


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of SFT.

    kl_weight: weight of the distance to the reference in (1).
    short_captions: share of samples with a short caption, the field `text_short`, that are trained
        with it; others are trained with their own.

    Raises:
        ValueError: values out of range.
    """

    name: str = "sft"
    kl_weight: float = 0.1
    short_captions: float = 0.0

    def __post_init__(self):
        if not 0 <= self.kl_weight < math.inf:
            raise ValueError(f"kl_weight={self.kl_weight} must be a number from 0 up.")
        if not 0 <= self.short_captions <= 1:
            raise ValueError(f"short_captions={self.short_captions} must lie in [0, 1].")


class Prepared(flax.struct.PyTreeNode):
    """A prepared batch of flow matching, and the reference's velocity."""

    batch: flow_matching.Prepared
    reference: Float[Array, "*k b f h w c"]


class Sft(FlowMatching):
    """Flow matching with a distance to the policy's initial weights."""

    @classmethod
    def fields(cls, config: Any) -> Fields:
        """Fields of flow matching, and the short caption if it is used."""
        fields = super().fields(config)
        if not config.objective.short_captions:
            return fields
        return (*fields, TextField(SHORT, width=config.dit.text_dim, optional=True))

    @property
    def texts(self) -> tuple[str, ...]:
        """Fields of a batch that are texts."""
        return ("text", SHORT) if self.settings.short_captions else ("text",)

    @property
    def roles(self) -> tuple[str, ...]:
        """The reference: the initial weights of the run."""
        return (REFERENCE,)

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Noised samples with one of their captions, and the reference's velocity."""
        if self.settings.short_captions:
            batch = short_for_some(jax.random.fold_in(key, 1), batch, self.settings.short_captions)
        prepared = super().prepare(key, policies, batch)

        def velocity(part: flow_matching.Prepared) -> Array:
            sample = part.sample
            return self.denoiser.velocity(
                policies[REFERENCE], sample.x_t, sample.t, part.condition
            ).astype(jnp.float32)

        return Prepared(batch=prepared, reference=self.microbatches.map(velocity, prepared))

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Mean of (1), and metrics.

        distance: mean of |v_policy - v_reference|^2; it should grow slowly and level out.
        """
        sample, weight = part.batch.sample, part.batch.weight
        v = self.denoiser.velocity(policies[POLICY], sample.x_t, sample.t, part.batch.condition)
        error = velocity_loss(v, sample.target, sample.noisy)
        distance = velocity_loss(v, part.reference, sample.noisy)
        loss = jnp.mean(error * weight) + self.settings.kl_weight * jnp.mean(distance)
        return loss, {"distance": jnp.mean(distance)} | task_sums(error, part.batch.task)

    def work(self, batch: Shapes) -> Work:
        """Work of a step: the policy forward and backward, the reference forward."""
        one = super().work(batch)
        assert one.flops is not None
        return one._replace(flops=one.flops + one.flops // (1 + BACKWARD))


def short_for_some(key: Array, batch: Batch, share: float) -> dict[str, Array]:
    """The batch with the short caption in the place of the other, in about `share` of its rows.

    Rows without a short caption, whose mask is all false, keep the other.
    """
    drawn = jax.random.bernoulli(key, share, batch["text"].shape[:1])
    short = (drawn & batch[f"{SHORT}_mask"].any(axis=1))[:, None]
    return dict(batch) | {
        "text": jnp.where(short[..., None], batch[SHORT], batch["text"]),
        "text_mask": jnp.where(short, batch[f"{SHORT}_mask"], batch["text_mask"]),
    }


OBJECTIVE = Sft
