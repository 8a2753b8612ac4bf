# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Distribution matching distillation to few steps (DMD2, arXiv:2405.14867).

    x_s   = input of step s of the student's own sampling from noise, without a gradient         (1)
    x_0   = x_s + t_s v_student(x_s, t_s),   s drawn for every sample                            (2)
    x_t   = (1 - t) x_0 + t noise,   t drawn anew                                                (3)
    g     = t (v_critic - v_teacher)(x_t, t) / (mean of |x_0 - x_teacher|)                       (4)
    student: 1/2 mean of |x_0 - (x_0 - g, without a gradient)|^2, whose gradient is that of g    (5)
    critic:  mean of |v_critic(x_t, t) - (x_0 - noise)|^2, flow matching on the student's videos (6)

t (v_critic - v_teacher) is the difference of both networks' estimates of x_0, and x_teacher that of
the teacher. The teacher is the run's initial weights, with guidance; student and critic start there
too. The student learns to do without guidance. Simulating its own steps (1) shows it the inputs
that it has when it samples, as DMD2 (section 4.5) and Self Forcing (arXiv:2506.08009) do. Estimates
are noised again between steps, or Euler's steps are taken.

Steps of two phases take turns: the student's, and `critic_updates` times as many of the critic. No
clips are learned from, but the frames that a task gives: these stay given in all networks, and only
the others count in the means. Captions are never dropped.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import einops
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from mugv_jax.axes import Array, Bool, Float, Int, Latent
from mugv_jax.bounds import require_at_least
from mugv_jax.data.interleave import TAG, source_of
from mugv_jax.flow.denoiser import LatentShape
from mugv_jax.flow.guidance import Guidance
from mugv_jax.flow.integrate import step_inputs
from mugv_jax.flow.path import frame_times, interpolate, of_rows
from mugv_jax.flow.renoise import split_keys
from mugv_jax.flow.sampler import moved
from mugv_jax.flow.schedule import check_times, given_times, sample_times
from mugv_jax.sharding.place import batch_sharding
from mugv_jax.train.loss import draw_times, velocity_loss
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import Draws, constrained_latent, noised
from mugv_jax.train.objective import POLICY, Batch, Metrics, Policies, Shapes
from mugv_jax.train.objectives.flow_matching import BACKWARD, FlowMatching, shape_of
from mugv_jax.train.optimizer import make_optimizer
from mugv_jax.train.reference import REFERENCE, guided_reference
from mugv_jax.train.sampling import sampling_noise
from mugv_jax.train.tasks import draw

STUDENT, CRITIC = "student", "critic"  # phases; the latter is a network as well
TEXTS = ("text", "text_mask", "fps")  # of a batch
SIZE_FLOOR = 1e-5  # least size of a difference that is divided by


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of distribution matching.

    steps: steps of the student.
    times: their times, falling from 1; () takes those of the sampler, shifted as `loss.shift` says.
    renoise: whether the student's estimates are noised again between steps.
    guidance: guidance scale of the teacher, away from the null caption.
    critic_updates: updates of the critic for each of the student.
    critic_rate: the critic's learning rate as a multiple of `optimizer.learning_rate`.
    noise_range: least and largest t of (3), which is drawn as `loss` says; published is
        loss.times="uniform".

    Raises:
        ValueError: values out of range.
    """

    name: str = "dmd"
    steps: int = 4
    times: tuple[float, ...] = ()
    renoise: bool = True
    guidance: float = 4.0
    critic_updates: int = 5
    critic_rate: float = 1.0
    noise_range: tuple[float, float] = (0.02, 0.98)

    def __post_init__(self):
        require_at_least(1, self, "steps", "critic_updates")
        if self.times:
            check_times(self.times)
            if len(self.times) != self.steps:
                raise ValueError(f"times={self.times} must be as many as steps={self.steps}.")
        Guidance(scale=self.guidance)
        if not 0 < self.critic_rate <= 1000:
            raise ValueError(f"critic_rate={self.critic_rate} must lie above 0 and up to 1000.")
        if len(self.noise_range) != 2 or not 0 < self.noise_range[0] < self.noise_range[1] <= 1:
            raise ValueError(
                f"noise_range={self.noise_range} must be (LOW, HIGH) with 0 < LOW < HIGH <= 1: "
                "times of the path, 1 is pure noise."
            )


class Prepared(flax.struct.PyTreeNode):
    """Inputs of the student's steps, and draws of what follows.

    x: x_s of (1).  t_s: its time.  t, noise: those of (3).  batch: the fields in TEXTS.
    """

    x: Float[Array, "*k b f h w c"]
    noisy: Bool[Array, "*k b f"]
    task: Int[Array, "*k b"]
    t_s: Float[Array, "*k b"]
    t: Float[Array, "*k b"]
    noise: Float[Array, "*k b f h w c"]
    batch: Mapping[str, Array]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DistributionMatching(FlowMatching):
    """Distribution matching, with the policy as the student.

    critic_optimizer: optimizer of the critic.  phase: the one that `loss` is of.
    """

    critic_optimizer: optax.GradientTransformation
    phase: str = STUDENT

    @classmethod
    def build(cls, config: Any, mesh: Mesh, **parts: Any) -> "DistributionMatching":
        """The objective of a run on `mesh`; config: a `DiTTrainConfig`.

        Raises:
            ValueError: a network that the mesh cannot shard.
        """
        settings, own = config.objective, config.optimizer
        rate = own.learning_rate * settings.critic_rate
        of_critic = dataclasses.replace(own, learning_rate=rate)
        steps = config.run.steps
        optimizer, _ = make_optimizer(of_critic, steps - student_updates(settings, steps))
        found = super().build(config, mesh, critic_optimizer=optimizer, **parts)
        assert isinstance(found, cls)
        return found

    @property
    def roles(self) -> tuple[str, ...]:
        """The teacher: the initial weights of the run."""
        return (REFERENCE,)

    @property
    def copies(self) -> tuple[str, ...]:
        """The critic."""
        return (CRITIC,)

    @property
    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """Optimizer of the critic."""
        return {CRITIC: self.critic_optimizer}

    @property
    def phases(self) -> Mapping[str, int]:
        """The student's steps, and those of the critic."""
        return {STUDENT: 1, CRITIC: self.settings.critic_updates}

    def updates(self, steps: Any) -> Any:
        """Number of the student's updates in the first `steps` steps of a run."""
        return student_updates(self.settings, steps)

    @property
    def trains(self) -> str:
        """Name of the network that this phase trains."""
        return CRITIC if self.phase == CRITIC else POLICY

    @property
    def defaults(self) -> Mapping[str, Any]:
        """How the student is sampled."""
        settings = self.settings
        found = {"steps": settings.steps, "guidance": 1, "renoise": settings.renoise}
        if settings.times:
            return {**found, "times": list(settings.times)}
        return {**found, "shift": None if self.loss_config.shift else 1}

    def variant(self, batch: Shapes) -> Hashable:
        """The phase of a batch; a batch without one is the student's."""
        return source_of(batch) or STUDENT

    def at(self, variant: Hashable) -> "DistributionMatching":
        """The objective in one phase."""
        return dataclasses.replace(self, phase=variant)

    def times(self, latent_shape: LatentShape) -> np.ndarray:
        """Times of the student's steps on latents of shape (f, h, w), and 0."""
        if self.settings.times:
            return given_times(self.settings.times)
        return sample_times(self.settings.steps, self.shift(latent_shape))

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Inputs (1) of the student's steps from noise, and all draws."""
        keys = jax.random.split(key, 6)
        clean = constrained_latent(batch)
        rows, frames = clean.shape[:2]
        drawn = draw(keys[0], rows, frames, self.tasks)
        times = self.times(shape_of(clean))
        numbers = jax.random.randint(keys[1], (rows,), 0, len(times) - 1)
        low, high = self.settings.noise_range
        t = draw_times(keys[2], rows, self.shift(shape_of(clean)), self.loss_config)
        start = Prepared(
            x=jnp.where(of_frames(drawn.noisy), sampling_noise(keys[3], clean.shape), clean),
            noisy=drawn.noisy,
            task=drawn.task,
            t_s=jnp.asarray(times)[numbers],
            t=jnp.clip(t, low, high),
            noise=sampling_noise(keys[4], clean.shape),
            batch={name: batch[name] for name in TEXTS},
        )

        def simulated(inputs: tuple[Prepared, Array, Array]) -> Latent:
            part, numbers, noise_keys = inputs
            return step_inputs(
                self.denoiser,
                policies[POLICY],
                part.x,
                times=times,
                numbers=numbers,
                noisy=part.noisy,
                positive=self._condition(part),
                renoise=noise_keys if self.settings.renoise else None,
            )

        x = self.microbatches.map(simulated, (start, numbers, split_keys(keys[5], rows)))
        return start.replace(x=x)

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Loss (5) or (6) of this phase, and metrics, named after it.

        student/gradient: root mean square of (4) of a sample, which x_0 is asked to change by.
        student/distance: root mean square of the difference of the estimates in (4), not divided.
        student/teacher_distance: mean of |x_0 - x_teacher|.
        critic/loss: (6).
        """
        if self.phase == CRITIC:
            return self._critic_loss(policies, part)
        x_0 = self._student(policies[POLICY], part)
        held = jax.lax.stop_gradient(x_0)
        t = of_rows(part.t)
        x_t, _ = interpolate(held, part.noise, frame_times(part.t, part.noisy))
        v_teacher, v_critic = self._teacher(policies, part, x_t), self._critic(policies, part, x_t)
        difference = t * (v_critic - v_teacher)
        away = held - moved(x_t, v_teacher, t, jnp.float32(0), part.noisy)
        size = noisy_mean(jnp.abs(away), part.noisy)
        change = difference / of_rows(jnp.maximum(size, SIZE_FLOOR))
        loss = velocity_loss(x_0, jax.lax.stop_gradient(held - change), part.noisy) / 2
        metrics = {
            "gradient": jnp.mean(jnp.sqrt(noisy_mean(jnp.square(change), part.noisy))),
            "distance": jnp.mean(jnp.sqrt(noisy_mean(jnp.square(difference), part.noisy))),
            "teacher_distance": jnp.mean(size),
        }
        return jnp.mean(loss), {f"{STUDENT}/{name}": x for name, x in metrics.items()}

    def work(self, batch: Shapes) -> Work:
        """Work of a step of the batch's phase.

        Both evaluate the student in all steps but one without a gradient, and once more.
        """
        one, settings = super().work(batch), self.settings
        assert one.flops is not None
        teacher = 1 if settings.guidance == 1 else 2
        evaluations = settings.steps - 1 + 1 + BACKWARD + 1
        if self.variant(batch) == STUDENT:
            evaluations += teacher
        return one._replace(flops=one.flops // (1 + BACKWARD) * evaluations)

    def abstract_batch(
        self, mesh: Mesh, latent_shape: LatentShape, rows: int
    ) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and shardings of a batch of the student's phase, whose step costs more."""
        tag = jax.ShapeDtypeStruct((rows,), jnp.bool_, sharding=batch_sharding(mesh, rows))
        return super().abstract_batch(mesh, latent_shape, rows) | {TAG + STUDENT: tag}

    def _critic_loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        x_0 = jax.lax.stop_gradient(self._student(policies[POLICY], part))
        t = frame_times(part.t, part.noisy)
        sample = noised(x_0, Draws(task=part.task, noisy=part.noisy, t=t, noise=part.noise))
        loss = jnp.mean(self.error(policies[CRITIC], sample, self._condition(part)))
        return loss, {f"{CRITIC}/loss": loss}

    def _student(self, variables: Any, part: Prepared) -> Latent:
        """Estimate (2)."""
        v = self.denoiser.velocity(
            variables, part.x, frame_times(part.t_s, part.noisy), self._condition(part)
        ).astype(jnp.float32)
        return moved(part.x, v, of_rows(part.t_s), jnp.float32(0), part.noisy)

    def _critic(self, policies: Policies, part: Prepared, x_t: Latent) -> Latent:
        times = frame_times(part.t, part.noisy)
        v = self.denoiser.velocity(policies[CRITIC], x_t, times, self._condition(part))
        return v.astype(jnp.float32)

    def _teacher(self, policies: Policies, part: Prepared, x_t: Latent) -> Latent:
        """Guided velocity of the teacher."""
        return guided_reference(
            self.denoiser, policies, x_t, part.t, part.noisy,
            fields={**part.batch, "latent": part.x}, scale=self.settings.guidance,
        )  # fmt: skip

    def _condition(self, part: Prepared) -> Any:
        return self.denoiser.condition({**part.batch, "latent": part.x})


def student_updates(settings: Settings, steps: Any) -> Any:
    """Number of the student's steps among the first `steps`: those of `source_order`."""
    cycle = 1 + settings.critic_updates
    return (2 * steps + cycle) // (2 * cycle)


def of_frames(x: Bool[Array, "b f"]) -> Bool[Array, "b f 1 1 1"]:
    """A mask of frames, as latents are chosen by it."""
    return einops.rearrange(x, "b f -> b f 1 1 1")


def noisy_mean(x: Float[Array, "b f h w c"], noisy: Bool[Array, "b f"]) -> Float[Array, "b"]:
    """Mean over the noisy frames of every sample; 0 without any."""
    weight = noisy.astype(jnp.float32)
    per_frame = jnp.mean(x, axis=(2, 3, 4))
    return jnp.sum(per_frame * weight, axis=1) / jnp.maximum(jnp.sum(weight, axis=1), 1)


OBJECTIVE = DistributionMatching
