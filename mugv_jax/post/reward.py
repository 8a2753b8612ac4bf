# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A reward model as a scorer of samples: what training would reward, of finished videos."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float, Frames
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.fields import DEFAULT_FPS, BatchSizes, Field, NumberField, TextField
from mugv_jax.data.published import ID
from mugv_jax.systems.text import TEXT_STEP

PART = "reward"
SHAPE = (1, 1, 1)  # of latents, which no reward reads


def option_value(text: str) -> Any:
    """The value of an option: a Python literal, such as 0.5 or (0, 8), or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


class RewardScorer:
    """Scores videos by a reward; a batch of them of one size is judged at once.

    name: the rater in `labels.csv`.
    reward: as training takes it, a function (variables, pixels, batch) -> (b).
    folder: folder of the samples, from which it reads text states.
    """

    parts = (PART,)

    def __init__(self, name: str, reward: Any, folder: Path):
        self.name = name
        self._folder = folder
        self._variables = jax.device_put(reward.variables)
        text = TextField("text"), NumberField("fps", default=DEFAULT_FPS, positive=True)
        self._fields = (*text, *getattr(reward, "fields", ()))

        @jax.jit
        def run(variables: Any, frames: Array, batch: Any) -> Float[Array, "b"]:
            return reward(variables, frames.astype(jnp.float32) / 127.5 - 1, batch)

        self._run = run

    def judge(
        self, videos: Sequence[Frames], about: Sequence[Mapping[str, str]]
    ) -> list[tuple[float]]:
        """See `post.scoring.Scorer`.

        Raises:
            ValueError: samples without what the reward reads, or videos that it refuses.
        """
        sizes: dict[tuple[int, ...], list[int]] = {}
        for row, video in enumerate(videos):
            sizes.setdefault(video.shape, []).append(row)
        found = np.zeros(len(videos))
        for rows in sizes.values():
            # Repetitions of the last video, so that batches of few sizes are compiled.
            count = 1 << (len(rows) - 1).bit_length()
            filled = [*rows, *rows[-1:] * (count - len(rows))]
            frames = np.stack([videos[row] for row in filled])
            values = self._run(self._variables, frames, self._batch([about[row] for row in filled]))
            found[rows] = np.asarray(values, np.float64)[: len(rows)]
        return [(float(value),) for value in found]

    def _batch(self, about: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
        batch = {}
        for field in self._fields:
            values = [self._value(field, row) for row in about]
            tokens = 0
            if isinstance(field, TextField):
                field = field.with_width(values[0].states.shape[1])
                tokens = max(len(each.states) for each in values)
            sizes = BatchSizes(SHAPE, text_tokens=-(-tokens // TEXT_STEP) * TEXT_STEP)
            batch |= field.stack(values, sizes)
        return batch

    def _value(self, field: Field, row: Mapping[str, str]) -> Any:
        """Value of a field of a sample, from its row."""
        cell = row.get(field.column, "")
        if not cell and field.required:
            raise ValueError(
                f"{row[ID]} has no {field.column}, which {self.name} reads: use samples of "
                "`mugv-jax post sample`."
            )
        try:
            return field.read(self._folder, field.parse(cell), normalised=True)
        except BadSample as error:
            raise ValueError(f"{row[ID]}: {error}") from error
