# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training tasks: which latent frames of a sample are given, and whether its caption is dropped.

    t2i            an image from text
    t2v            a video from text
    i2v            the first latent frame is given (published `i2v`)
    last           the last latent frame is given
    first_last     the first and the last latent frame are given
    random         one random latent frame is given (published `randone`)
    continuation   the first k of f frames are given, 1 <= k < f (published `autoreg`)

A given frame is clean, has time 0, and is excluded from the loss.
"""

import dataclasses
from collections.abc import Mapping

import einops
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Bool, Int

VIDEO_TASKS = ("t2v", "i2v", "last", "first_last", "random", "continuation")
TASKS = ("t2i", *VIDEO_TASKS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """Probabilities of training tasks and of caption dropout.

    probability: probability of each video task, by default 0. Samples of one frame are always
        `t2i`.
    drop_caption: caption dropout probability per task, by default 0.1 (the released trainer: 0.1
        for text-to-video, 0.5 for image-to-video).

    Raises:
        ValueError: unknown tasks, probabilities outside [0, 1], or a sum other than 1.
    """

    probability: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"t2v": 1.0})
    drop_caption: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for field, known in (("probability", VIDEO_TASKS), ("drop_caption", TASKS)):
            values = getattr(self, field)
            for task, value in values.items():
                if task not in known:
                    raise ValueError(f"{field} names {task!r}; the tasks are {', '.join(known)}.")
                if not 0 <= value <= 1:
                    raise ValueError(f"{field}.{task}={value} must lie in [0, 1].")
        total = sum(self.probability.values())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"probability of the tasks sums to {total:g}, must be 1.")

    @property
    def drawn(self) -> tuple[str, ...]:
        """Tasks with a nonzero probability, and `t2i`."""
        return tuple(t for t in TASKS if t == "t2i" or self.probability.get(t, 0.0) > 0)

    def drop(self, task: str) -> float:
        """Caption dropout probability of a task."""
        return self.drop_caption.get(task, 0.1)


class Draw(flax.struct.PyTreeNode):
    """Task, noisy frames and caption dropout of each sample; `task` is an index into TASKS."""

    task: Int[Array, "b"]
    noisy: Bool[Array, "b f"]
    dropped: Bool[Array, "b"]


def draw(key: Array, batch: int, frames: int, config: TaskConfig) -> Draw:
    """Tasks of `batch` samples of `frames` latent frames, a function of `key` alone."""
    task_key, frame_key, caption_key = jax.random.split(key, 3)
    if frames == 1:
        task = jnp.zeros(batch, jnp.int32)
    else:
        share = np.array([config.probability.get(name, 0.0) for name in VIDEO_TASKS])
        # The last bound is set to 1: a sum rounded below 1 could give an index out of range.
        bounds = jnp.asarray([*np.cumsum(share)[:-1], 1.0], jnp.float32)
        task = 1 + jnp.searchsorted(bounds, jax.random.uniform(task_key, (batch,)), side="right")
    drop = jnp.asarray([config.drop(name) for name in TASKS], jnp.float32)
    return Draw(
        task=task.astype(jnp.int32),
        noisy=noisy_frames(frame_key, task, frames),
        dropped=jax.random.uniform(caption_key, (batch,)) < drop[task],
    )


def noisy_frames(key: Array, task: Int[Array, "b"], frames: int) -> Bool[Array, "b f"]:
    """Mask of the frames to predict in each task.

    With two frames `first_last` would leave none to predict, so only the first is given.
    """
    batch = task.shape[0]
    pick_key, length_key = jax.random.split(key)
    index = jnp.broadcast_to(jnp.arange(frames)[None], (batch, frames))
    pick = jax.random.randint(pick_key, (batch, 1), 0, frames)
    length = jax.random.randint(length_key, (batch, 1), 1, max(2, frames))
    every = jnp.ones((batch, frames), bool)
    noisy = {
        "t2i": every,
        "t2v": every,
        "i2v": index > 0,
        "last": index < frames - 1,
        "first_last": (index > 0) & (index < max(frames - 1, 2)),
        "random": index != pick,
        "continuation": index >= length,
    }
    choices = jnp.stack([noisy[name] for name in TASKS])
    return jnp.take_along_axis(choices, einops.rearrange(task, "b -> 1 b 1"), axis=0)[0]
