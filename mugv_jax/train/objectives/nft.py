# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Online reinforcement learning on the forward process (DiffusionNFT, arXiv:2509.16117).

    x_0      = K samples of every prompt by the old policy, without a gradient, scored as s
    A        = (s - mean of its group) / std,   a group is the samples of one prompt             (1)
    r        = 1/2 + 1/2 clip(A / clip, -1, 1)                                                   (2)
    v+       = v_old + beta (v_policy - v_old),   v- = v_old - beta (v_policy - v_old)           (3)
    loss     = clip / beta (r e(v+) + (1 - r) e(v-)) + kl_weight |v_policy - v_reference|^2      (4)
    v_old    : weights of the policy, averaged over updates: old <- d old + (1 - d) policy       (5)

e(v) is the mean of |v - u|^2 over noised samples x_t with target u = x_0 - noise, or with adaptive
weights as published, e(v) = mean of |t (v - u)|^2 / (mean of |t (v - u)|, without a gradient): the
error of the estimate of x_0, divided by its own size. At v_policy = v_old the gradient of (4) is
2 A times that of the flow-matching error for |A| < clip, for any beta and clip.

The score is any program that judges frames (`train/scoring.py`). The batch holds P prompts, and
rows p K to p K + K - 1 of the samples are of prompt p; all statistics are those of the whole batch.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import traverse_util
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float
from mugv_jax.bounds import require_at_least
from mugv_jax.data.fields import Fields
from mugv_jax.flow.integrate import integrate
from mugv_jax.flow.path import frame_times
from mugv_jax.nn import lora
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.lora import LoraConfig
from mugv_jax.train.decoding import VAE
from mugv_jax.train.loss import draw_times, velocity_loss
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import Draws, Noised, noised
from mugv_jax.train.objective import (
    POLICY,
    Batch,
    Bind,
    Metrics,
    Policies,
    Shapes,
    constrain_batch,
)
from mugv_jax.train.objectives.flow_matching import BACKWARD, shape_of
from mugv_jax.train.reference import REFERENCE
from mugv_jax.train.sampling import (
    Sampling,
    SamplingSettings,
    all_noisy,
    require_weights,
    sampling_noise,
)
from mugv_jax.train.scoring import HostScorer, check_described, columns_of, make_scorer
from mugv_jax.train.state import split
from mugv_jax.train.tasks import TASKS
from mugv_jax.weights.registry import abstract_variables

OLD = "old"  # name of the old policy
STD_FLOOR = 1e-4  # is added to the standard deviation
ERROR_FLOOR = 1e-5  # least size of an error that is divided by
STDS = ("batch", "group")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(SamplingSettings):
    """Settings of DiffusionNFT, besides those of `SamplingSettings`.

    The number of prompts of a step is `data.batch`, which must be given.

    score: {"load": function that makes the scorer, "weights": weight of each part of the score, and
        options of that function}.
    samples: number K of samples of each prompt.
    draws: times and noises that each sample is trained at in a step.
    split: microbatches into which the samples of each prompt are split, besides those of
        `run.accumulate`; it divides `samples`, and only memory depends on it.
    std: what (1) divides by: "batch" is the standard deviation of all scores of the step
        (published), "group" that of the samples of one prompt.
    clip: standard deviations at which (2) saturates.
    beta: how far v+ and v- are from v_old in (3).
    adaptive: whether the error of (4) has adaptive weights.
    kl_weight: weight of the distance to the reference in (4).
    decay_start, decay_rate, decay_max: after n updates the decay d in (5) is
        clip(decay_rate (n - decay_start), 0, decay_max); 0 is the policy itself.

    Raises:
        ValueError: values out of range.
    """

    name: str = "nft"
    score: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    samples: int = 24
    draws: int = 1
    split: int = 1
    std: str = "batch"
    clip: float = 5.0
    beta: float = 1.0
    adaptive: bool = True
    kl_weight: float = 1e-4
    decay_start: int = 0
    decay_rate: float = 0.001
    decay_max: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        check_described(self.score)
        require_at_least(2, self, "samples")
        require_at_least(1, self, "draws", "split")
        require_at_least(0, self, "decay_start")
        require_weights(self, "kl_weight", "decay_rate")
        if self.samples % self.split:
            raise ValueError(f"split={self.split} must divide samples={self.samples}.")
        if self.std not in STDS:
            raise ValueError(f"std={self.std!r} must be one of {', '.join(STDS)}.")
        for field in ("clip", "beta"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field}={getattr(self, field)} must be a number above 0.")
        if not 0 <= self.decay_max < 1:
            raise ValueError(f"decay_max={self.decay_max} must lie in [0, 1).")


class Prepared(flax.struct.PyTreeNode):
    """Noised samples of the old policy with their condition.

    goodness: r of (2).  metrics: values of the whole step, the same in every row.
    """

    sample: Noised
    condition: Any
    goodness: Float[Array, "*k b"]
    metrics: Mapping[str, Float[Array, "*k b"]]


def goodness(
    scores: Float[Array, "b"], settings: Settings
) -> tuple[Float[Array, "b"], dict[str, Float[Array, ""]]]:
    """r of (2) from the scores of all samples of a step, and metrics of the scores."""
    groups = scores.reshape(-1, settings.samples)
    std = jnp.std(groups, axis=1, keepdims=True)
    equal = jnp.max(groups, axis=1) == jnp.min(groups, axis=1)
    divisor = jnp.std(scores)[None, None] if settings.std == "batch" else std
    advantage = (groups - jnp.mean(groups, axis=1, keepdims=True)) / (divisor + STD_FLOOR)
    # The mean of equal scores may differ from them by rounding.
    advantage = jnp.where(equal[:, None], 0, advantage)
    found = 0.5 + 0.5 * jnp.clip(advantage / settings.clip, -1, 1)
    return found.reshape(-1), {
        "score": jnp.mean(scores),
        "score_std": jnp.mean(std),
        "equal_groups": jnp.mean(equal.astype(jnp.float32)),
        "goodness": jnp.mean(found),
    }


def nft_loss(
    v: Float[Array, "b f h w c"],
    v_old: Float[Array, "b f h w c"],
    sample: Noised,
    good: Float[Array, "b"],
    settings: Settings,
) -> Float[Array, "b"]:
    """Loss (4) of every sample, without the distance to the reference."""
    ahead = settings.beta * (v.astype(jnp.float32) - v_old.astype(jnp.float32))
    positive, negative = (
        _error(v_old.astype(jnp.float32) + side * ahead, sample, adaptive=settings.adaptive)
        for side in (1, -1)
    )
    return settings.clip / settings.beta * (good * positive + (1 - good) * negative)


def _error(v: Float[Array, "b f h w c"], sample: Noised, *, adaptive: bool) -> Float[Array, "b"]:
    if not adaptive:
        return velocity_loss(v, sample.target, sample.noisy)
    error = sample.t[..., None, None, None] * (v - sample.target)  # of the estimate of x_0
    axes = tuple(range(1, error.ndim))
    size = jax.lax.stop_gradient(jnp.maximum(jnp.mean(jnp.abs(error), axis=axes), ERROR_FLOOR))
    return jnp.mean(jnp.square(error), axis=axes) / size


def mixed(old: Any, policy: Any, decay: Float[Array, ""]) -> Any:
    """decay old + (1 - decay) policy where `old` has a leaf, and the policy elsewhere."""
    flat: dict[str, Any] = traverse_util.flatten_dict(policy, sep="/")
    for path, leaf in traverse_util.flatten_dict(old, sep="/").items():
        now = flat[path].astype(jnp.float32)
        flat[path] = (now + decay * (leaf - now)).astype(flat[path].dtype)
    return traverse_util.unflatten_dict(flat, sep="/")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DiffusionNFT(Sampling):
    """DiffusionNFT, with the policy's initial weights as the reference.

    Of the old policy the state has the average (5) as of the last update and the number of updates:
    {"weights", "updates"}. A step begins by mixing in the policy, so that the old policy is the
    policy itself in the first step, and at any step while the decay is 0.

    scorer: the score.  low_rank: low-rank updates of the policy, or None.
    freeze: patterns of weights that are not trained.
    """

    scorer: HostScorer
    low_rank: LoraConfig | None
    freeze: tuple[str, ...]

    @classmethod
    def further_fields(cls, settings: Any) -> Fields:
        """Columns that the scorer reads."""
        return columns_of(make_scorer(settings.score))

    @classmethod
    def build(cls, config: Any, mesh: Mesh, **parts: Any) -> "DiffusionNFT":
        """The objective of a run on `mesh`; config: a `DiTTrainConfig`.

        Raises:
            ValueError: as in `Sampling.build`, a scorer that cannot be made, or no number of
                prompts.
        """
        if not config.data.batch:
            raise ValueError(
                "data.batch=0 must be the number of prompts of a step: without it, that number "
                "would follow the devices, and with it the noise of the scores' statistics."
            )
        host = HostScorer.of(config.objective.score, mesh)
        built = super().build(
            config,
            mesh,
            scorer=host,
            further=columns_of(host.scorer),
            low_rank=config.lora,
            freeze=config.optimizer.freeze,
            **parts,
        )
        assert isinstance(built, cls)
        count = built.microbatches.count * config.objective.split
        finer = dataclasses.replace(built.microbatches, count=count)
        return dataclasses.replace(built, microbatches=finer)

    @property
    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """The "gradient" of the old policy is the difference to the next one."""
        return {OLD: optax.sgd(1.0)}

    def extra(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The old policy; its weights are not read before the first update has replaced them."""
        if self.low_rank is None:
            shapes, _ = split(variables["params"], self.freeze)
        else:
            of_network = abstract_variables(self.kind, self.sizes)["params"]
            shapes = lora.abstract_lora(of_network, self.low_rank)
            if jax.tree.structure(variables) == jax.tree.structure(unboxed(variables)):
                shapes = unboxed(shapes)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.float32), shapes)
        old = {"weights": zeros, "updates": jnp.zeros(())}
        return {OLD: old, f"{OLD}_opt": self.optimizers[OLD].init(old)}

    def decay(self, updates: Float[Array, ""]) -> Float[Array, ""]:
        """Decay d of (5) after a number of updates."""
        settings = self.settings
        rising = settings.decay_rate * (updates - settings.decay_start)
        return jnp.clip(rising, 0, settings.decay_max)

    def old(self, policies: Policies) -> Any:
        """Variables of the old policy of this step, without a gradient."""
        held, policy = policies[OLD]["params"], policies[POLICY]
        name, weights = "params", held["weights"]
        if self.low_rank is not None:
            name, weights = lora.COLLECTION, lora.scaled(weights, self.low_rank)
        average = mixed(weights, policy[name], self.decay(held["updates"]))
        return jax.lax.stop_gradient({**policy, name: average})

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Samples of the old policy, scored, and noised to `draws` times each."""
        settings, old = self.settings, self.old(policies)
        sampling_key, noising_key = jax.random.split(key)
        rows, *shape = self.cut(batch)["latent"].shape
        texts = repeated(self.without_latents(batch), settings.samples)
        noise = sampling_noise(sampling_key, (rows * settings.samples, *shape))

        def sampled(part: Mapping[str, Any]) -> tuple[Array, Array]:
            x_0 = integrate(self.denoiser, old, part["noise"], **self.options(policies, part))
            return x_0, self.scorer(self.decoder(policies[VAE], x_0), part)

        x_0, parts = self.microbatches.map(sampled, texts | {"noise": noise})
        good, metrics = goodness(self.scorer.total(parts), settings)
        means = zip(self.scorer.parts, jnp.mean(parts, axis=0), strict=True)
        metrics |= {f"score_{name}": mean for name, mean in means}
        x_0, good, texts = repeated((x_0, good, texts), settings.draws)
        return Prepared(
            sample=self.noised_again(noising_key, x_0),
            condition=self.denoiser.condition(texts | {"latent": x_0}),
            goodness=good,
            metrics={name: jnp.broadcast_to(x, good.shape) for name, x in metrics.items()},
        )

    def noised_again(self, key: Array, x_0: Float[Array, "b f h w c"]) -> Noised:
        """Samples at random times of the forward process."""
        time_key, noise_key = jax.random.split(key)
        rows, noisy = len(x_0), all_noisy(x_0)
        times = draw_times(time_key, rows, self.shift(shape_of(x_0)), self.loss_config)
        noise = sampling_noise(noise_key, x_0.shape)
        task = jnp.full(rows, TASKS.index("t2v"))
        return noised(x_0, Draws(task=task, noisy=noisy, t=frame_times(times, noisy), noise=noise))

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Mean loss (4), and metrics.

        score, score_NAME: mean score and parts, as the scorer gives them.
        score_std: mean of the standard deviations of groups.
        equal_groups: share of groups whose scores are all equal, which teach nothing.
        goodness: mean of r (2), about 1/2.
        distance, old_distance: mean of |v_policy - v|^2, v of the reference and of the old policy.
        """
        sample = part.sample
        velocity = functools.partial(
            self.denoiser.velocity, x=sample.x_t, t=sample.t, condition=part.condition
        )
        v, v_old = velocity(policies[POLICY]), velocity(self.old(policies))
        v_reference = velocity(policies[REFERENCE])
        distance = jnp.mean(velocity_loss(v, v_reference, sample.noisy))
        loss = jnp.mean(nft_loss(v, v_old, sample, part.goodness, self.settings))
        metrics = {name: jnp.mean(x) for name, x in part.metrics.items()}
        return loss + self.settings.kl_weight * distance, metrics | {
            "distance": distance,
            "old_distance": jnp.mean(velocity_loss(v, v_old, sample.noisy)),
        }

    def gradient(
        self, bind: Bind, trained: Mapping[str, Any], part: Prepared
    ) -> tuple[Float[Array, ""], Metrics, Mapping[str, Any]]:
        """Loss, metrics and the policy's gradient; the old policy takes the step (5)."""
        loss, metrics, grads = super().gradient(bind, trained, part)
        held = trained[OLD]
        average = mixed(held["weights"], trained[POLICY], self.decay(held["updates"]))
        change = jax.tree.map(jnp.subtract, held["weights"], average)
        return loss, metrics, {**grads, OLD: {"weights": change, "updates": -jnp.ones(())}}

    def work(self, batch: Shapes) -> Work:
        """Work of the network: sampling, and at every draw the policy forward and backward, the old
        policy and the reference forward. Decoding and scoring are not counted.
        """
        cut = jax.eval_shape(lambda x: self.cut({"latent": x}), batch["latent"])
        one, settings = super().work(dict(batch, **cut)), self.settings
        assert one.flops is not None
        sides = 1 if settings.guidance == 1 else 2
        evaluations = settings.steps * sides + settings.draws * (1 + BACKWARD + 2)
        return one._replace(
            samples=one.samples * settings.samples,
            tokens=one.tokens * settings.samples * settings.draws,
            flops=one.flops // (1 + BACKWARD) * settings.samples * evaluations,
        )


def repeated(tree: Any, count: int) -> Any:
    """Leaves with every row `count` times in succession, sharded over the data shards."""
    if count == 1:
        return tree
    return constrain_batch(jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), tree))


OBJECTIVE = DiffusionNFT
