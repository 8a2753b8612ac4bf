# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Flow-matching objective: squared error of the velocity on the straight path (rectified flow).

    x_t = (1 - t) x_0 + t noise,   loss = mean over samples of w |v(x_t, t) - (x_0 - noise)|^2

Tasks, times and noise are drawn from the step's key for the whole batch (arXiv:2510.17519, 4.2).
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float, Int
from mugv_jax.data.fields import Fields, flow_fields
from mugv_jax.flow.denoiser import Denoiser, LatentShape
from mugv_jax.flow.path import frame_times
from mugv_jax.flow.schedule import shift_ratio, shift_time
from mugv_jax.sharding.parallel import build_dit
from mugv_jax.sharding.place import batch_sharding, data_shards
from mugv_jax.systems.system import System, find
from mugv_jax.train.loss import LossConfig, draw_times, velocity_loss
from mugv_jax.train.metrics import Work
from mugv_jax.train.noising import (
    NULL_TEXT,
    Draws,
    Noised,
    constrained_latent,
    drop_captions,
    fixed_noise,
    noised,
    task_sums,
)
from mugv_jax.train.objective import (
    POLICY,
    Batch,
    Metrics,
    Microbatches,
    Objective,
    Policies,
    Shapes,
    constrain_batch,
)
from mugv_jax.train.tasks import TASKS, TaskConfig, draw, noisy_frames
from mugv_jax.weights.registry import MODELS

BACKWARD = 2  # FLOPs of the backward pass relative to the forward pass
VALIDATION_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # u, before the shift


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of flow matching: none besides the config groups "tasks" and "loss"."""

    name: str = "flow_matching"


@dataclasses.dataclass(frozen=True)
class Part:
    """One source of a run's batches.

    config: a `DiTTrainConfig` with the source's objective and data.
    share: number of its batches in a cycle of all sources.
    """

    config: Any
    share: int = 1


class Prepared(flax.struct.PyTreeNode):
    """A prepared batch: noised samples, their condition, task and loss weight."""

    sample: Noised
    condition: Any
    task: Int[Array, "*k b"]
    weight: Float[Array, "*k b"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FlowMatching(Objective):
    """Flow-matching objective, with which MUG-V is pre-trained.

    system: model family of the network.  denoiser: the network.
    settings: the config group "objective".
    text_tokens: tokens of a caption in a batch.
    """

    LATENTS = ("latent",)  # fields of a batch that are latents
    NUMBERS = ("fps",)  # fields that are numbers

    system: System
    denoiser: Denoiser
    tasks: TaskConfig
    loss_config: LossConfig
    settings: Any
    text_tokens: int

    @classmethod
    def fields(cls, config: Any) -> Fields:
        """Fields of a training sample; config: a `DiTTrainConfig`."""
        return flow_fields(
            channels=config.dit.in_channels,
            text_dim=config.dit.text_dim,
            statistics=find(config.system).statistics,
        )

    @classmethod
    def parts(cls, config: Any) -> Mapping[str, Part]:
        """The named sources of a run's batches; a run of one source has one, named ""."""
        return {"": Part(config)}

    @classmethod
    def build(cls, config: Any, mesh: Mesh, **parts: Any) -> "FlowMatching":
        """The objective of a run on `mesh`; config: a `DiTTrainConfig`.

        parts: fields of a derived class.

        Raises:
            ValueError: a network that the mesh cannot shard, or that has no use for a task.
        """
        system = find(config.system)
        kind = system.kinds["dit"]
        module = build_dit(
            config.dit,
            mesh,
            config.mesh,
            module=MODELS[kind].build,
            dtype=jnp.dtype(config.run.dtype),
            remat=config.run.remat,
            kernels=config.kernels,
        )
        denoiser = system.denoiser(module)
        _check_tasks(config.tasks, denoiser, system.title)
        return cls(
            kind=kind,
            sizes=config.dit,
            module=module,
            microbatches=Microbatches(data_shards(mesh), config.run.accumulate),
            system=system,
            denoiser=denoiser,
            tasks=config.tasks,
            loss_config=config.loss,
            settings=config.objective,
            text_tokens=config.data.text_tokens,
            **parts,
        )

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Values of a `defaults.json` for the trained model, if it is sampled in another way."""
        return {}

    def shift(self, latent_shape: LatentShape) -> float:
        """Ratio of the time shift towards noise for latents of shape (f, h, w)."""
        if not self.loss_config.shift:
            return 1.0
        if self.system.train_shift is not None:
            return self.system.train_shift
        frames, height, width = latent_shape
        side_px = self.system.size.SPATIAL
        return shift_ratio(height * side_px, width * side_px, frames)

    def sample_shift(self, latent_shape: LatentShape) -> float:
        """The same ratio for samples drawn while training; by default that of `shift`."""
        given = self.system.sample_shift
        return self.shift(latent_shape) if given is None else given

    def draws(self, key: Array, policies: Policies, batch: Batch) -> tuple[Draws, Batch]:
        """(draws of a step, the batch with some captions dropped), the same on any mesh."""
        task_key, time_key, noise_key = jax.random.split(key, 3)
        latent = batch["latent"]
        rows, frames = latent.shape[:2]
        drawn = draw(task_key, rows, frames, self.tasks)
        times = draw_times(time_key, rows, self.shift(shape_of(latent)), self.loss_config)
        noise = constrain_batch(jax.random.normal(noise_key, latent.shape))
        text, text_mask = drop_captions(batch, drawn.dropped, policies[NULL_TEXT])
        t = frame_times(times, drawn.noisy)
        draws = Draws(task=drawn.task, noisy=drawn.noisy, t=t, noise=noise)
        return draws, dict(batch, text=text, text_mask=text_mask)

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Noised samples with their loss weights, after caption dropout."""
        draws, batch = self.draws(key, policies, batch)
        x_0 = constrained_latent(batch)
        weight = self.loss_config.image_weight if x_0.shape[1] == 1 else 1.0
        return Prepared(
            sample=noised(x_0, draws),
            condition=self.denoiser.condition(batch),
            task=draws.task,
            weight=jnp.full(x_0.shape[:1], weight),
        )

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Weighted mean of the velocity's squared error, and its unweighted sums by task."""
        loss = self.error(policies[POLICY], part.sample, part.condition)
        return jnp.mean(loss * part.weight), task_sums(loss, part.task)

    def error(self, variables: Any, sample: Noised, condition: Any) -> Float[Array, "b"]:
        """Squared error of a policy's velocity, averaged over each sample's noisy frames."""
        v = self.denoiser.velocity(variables, sample.x_t, sample.t, condition)
        return velocity_loss(v, sample.target, sample.noisy)

    def validate(
        self, policies: Policies, batch: Batch
    ) -> tuple[Float[Array, "k u"], Float[Array, ""]]:
        """(sums of the loss by task and time, sum of weights) over samples, weighted by "weight".

        Tasks are those of `validation_tasks`, times VALIDATION_TIMES. The noise of a sample is
        fixed, so that steps and runs can be compared.
        """
        weight = batch["weight"]
        x_0 = constrained_latent(batch)
        noise = constrain_batch(fixed_noise(batch["sample"], x_0.shape[1:]))
        condition = self.denoiser.condition(batch)
        ratio = self.shift(shape_of(x_0))

        def at(task_and_u: tuple[Array, Array]) -> Float[Array, ""]:
            task, u = (jnp.broadcast_to(each, x_0.shape[:1]) for each in task_and_u)
            noisy = noisy_frames(jax.random.key(0), task, x_0.shape[1])
            t = frame_times(shift_time(u, ratio), noisy)
            sample = noised(x_0, Draws(task=task, noisy=noisy, t=t, noise=noise))
            return jnp.sum(self.error(policies[POLICY], sample, condition) * weight)

        tasks = [TASKS.index(name) for name in self.validation_tasks(x_0.shape[1])]
        task, u = zip(*itertools.product(tasks, VALIDATION_TIMES))
        sums = jax.lax.map(at, (jnp.asarray(task), jnp.asarray(u, jnp.float32)))
        return sums.reshape(len(tasks), -1), jnp.sum(weight)

    def validation_tasks(self, frames: int) -> tuple[str, ...]:
        """Validation tasks of samples of `frames` latent frames."""
        if frames == 1:
            return ("t2i",)
        return ("t2v", "i2v") if self.denoiser.given_frames else ("t2v",)

    def work(self, batch: Shapes) -> Work:
        """Samples, tokens and model FLOPs of a step."""
        rows, shape = len(batch["latent"]), shape_of(batch["latent"])
        forward = self.system.costs.forward(self.sizes, shape, batch["text"].shape[1])
        tokens = self.system.costs.tokens(self.sizes, shape)
        flops = rows * (1 + BACKWARD) * forward
        return Work(shape=(rows, *shape), samples=rows, tokens=rows * tokens, flops=flops)

    @property
    def texts(self) -> tuple[str, ...]:
        """Fields of a batch that are texts."""
        return ("text",)

    def abstract_batch(
        self, mesh: Mesh, latent_shape: LatentShape, rows: int
    ) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and shardings of a batch of `rows` samples with latents of shape (f, h, w)."""
        latent = ((*latent_shape, self.sizes.in_channels), jnp.float32)
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {"sample": ((), jnp.int32)}
        shapes |= dict.fromkeys(self.LATENTS, latent)
        shapes |= dict.fromkeys(self.NUMBERS, ((), jnp.float32))
        for name in self.texts:
            shapes[name] = ((self.text_tokens, self.sizes.text_dim), jnp.float32)
            shapes[f"{name}_mask"] = ((self.text_tokens,), jnp.bool_)
        shaped = functools.partial(jax.ShapeDtypeStruct, sharding=batch_sharding(mesh, rows))
        return {name: shaped((rows, *shape), dtype) for name, (shape, dtype) in shapes.items()}


OBJECTIVE = FlowMatching


def shape_of(latent: Any) -> LatentShape:
    """(f, h, w) of a batch of latents (b f h w c), or of its shape."""
    frames, height, width = latent.shape[1:4]
    return frames, height, width


def _check_tasks(tasks: TaskConfig, denoiser: Denoiser, title: str) -> None:
    """Raise a ValueError for tasks with given frames if the network cannot tell them."""
    drawn = [name for name in tasks.drawn if name not in ("t2i", "t2v")]
    if drawn and not denoiser.given_frames:
        raise ValueError(
            f"tasks.probability asks for {', '.join(drawn)}, but {title} has one time per video "
            "and cannot tell a given frame from a noisy one: set t2v to 1 and the others to 0."
        )
