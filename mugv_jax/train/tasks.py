# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a training sample is asked for: which of its frames are given, and whether it is captioned.

    t2i            a single picture from text
    t2v            every frame from text
    i2v            the first latent frame is given (published `i2v`)
    last           the last one
    first_last     both ends
    random         one, anywhere (published `randone`)
    continuation   the first k of f frames, 1 <= k < f (published `autoreg`)

A given frame is clean, has time 0, and does not count in the loss.
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
    """How often each task is drawn and how often its caption is dropped.

    probability: of each video task; what is left out is never drawn. A sample of one frame is
        always `t2i`.
    drop_caption: probability per task; 0.1 where nothing is said (the released trainer: 0.1 for
        text-to-video, 0.5 for image-to-video).

    Raises:
        ValueError: unknown tasks, or probabilities that are none.
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
        """The tasks that come up."""
        return tuple(t for t in TASKS if t == "t2i" or self.probability.get(t, 0.0) > 0)

    def drop(self, task: str) -> float:
        """How often the caption of a task is dropped."""
        return self.drop_caption.get(task, 0.1)


class Draw(flax.struct.PyTreeNode):
    """What was drawn for each sample; `task` is an index into TASKS."""

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
        # The last bound is 1 exactly: a sum that rounds below it must not point past the end.
        bounds = jnp.asarray([*np.cumsum(share)[:-1], 1.0], jnp.float32)
        task = 1 + jnp.searchsorted(bounds, jax.random.uniform(task_key, (batch,)), side="right")
    drop = jnp.asarray([config.drop(name) for name in TASKS], jnp.float32)
    return Draw(
        task=task.astype(jnp.int32),
        noisy=noisy_frames(frame_key, task, frames),
        dropped=jax.random.uniform(caption_key, (batch,)) < drop[task],
    )


def noisy_frames(key: Array, task: Int[Array, "b"], frames: int) -> Bool[Array, "b f"]:
    """Which frames each task leaves to the network.

    Of two frames `first_last` would leave none, so there it gives the first alone.
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
