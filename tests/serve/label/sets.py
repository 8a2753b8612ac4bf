# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small labelling sets."""

import numpy as np

from mugv_jax import video
from mugv_jax.serve.label.labelset import Clip, Item, LabelSet
from mugv_jax.serve.label.questions import KINDS, PAIRS
from mugv_jax.serve.label.store import Store
from mugv_jax.serve.label.tasks import Tasks

FPS = 12


def labelset(kind: str = PAIRS, count: int = 6, golden: dict | None = None, **options) -> LabelSet:
    """A set whose videos do not exist; golden: right answers by the number of the item."""
    models = ("ours", "theirs")
    items = []
    for i in range(count):
        shown = models if kind == PAIRS else (models[i % 2],)
        clips = [
            Clip(media=f"{i:031x}{k}.mp4", model=model, id=f"c{i}", fps=FPS, width=64, height=48)
            for k, model in enumerate(shown)
        ]
        items.append(
            Item(
                id=f"{i:016x}", name=f"item{i}", clips=tuple(clips), prompt=f"prompt {i}",
                known=(golden or {}).get(i, {}),
            )
        )  # fmt: skip
    stages = KINDS[kind].stages
    return LabelSet(kind=kind, models=models, stages=stages, items=tuple(items), **options)


def tasks_of(folder, made: LabelSet, **options) -> Tasks:
    return Tasks(made, Store(folder), **options)


def answer_all(tasks: Tasks, annotator: str, choose) -> int:
    """Does all tasks of an annotator; choose(task, question) gives the answer. Returns answers."""
    count = 0
    while True:
        given = tasks.give(annotator, 1)
        if not given.tasks:
            return count
        (task,) = given.tasks
        for question in tasks.labelset.stages[task.stage]:
            answer, name = choose(task, question.id), f"{annotator}-{task.item.id}-{question.id}"
            tasks.answer(annotator, name, task.item.id, question.id, answer)
            count += 1


def write_clip(path, number: int, *, frames: int = 12, record=None, size=(48, 64)) -> None:
    """Writes a video in which every frame is of another brightness."""
    shape = (frames, *size, 3)
    light = np.linspace(20 + 10 * number, 220, frames)[:, None, None, None]
    video.write_video(path, np.broadcast_to(light, shape).astype(np.uint8), FPS, record=record)
