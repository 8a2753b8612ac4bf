# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A step's rows, read, cut to one shape and stacked; unreadable samples are stood in for.

latent       float32 (b f h w c)   normalised
text         float32 (b s d)       zero where there is no token
text_mask    bool    (b s)
fps          float32 (b)
frame_index  int32   (b f+2)       0 .. f+1: start token, latent frames, end token
sample       int32   (b)           index of the sample in its source
weight       float32 (b)           validation only: 0 for rows that only fill the shape
"""

import dataclasses
import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from mugv_jax.axes import Float
from mugv_jax.data.buckets import Bucket
from mugv_jax.data.data_config import Shape
from mugv_jax.data.samples import BadSample, Sample, SampleSource
from mugv_jax.data.schedule import Turns

Batch = dict[str, np.ndarray]

log = logging.getLogger(__name__)


class Reader:
    """Reads samples from several threads; the next good one of its bucket replaces a bad one.

    The replacement depends on which files are bad, never on when they were read, so a resumed run
    sees the same samples. Bad samples are counted in each process (and each worker) of its own.
    """

    def __init__(self, source: SampleSource, max_bad: int):
        self._source = source
        self._max_bad = max_bad
        self._bad: dict[int, str] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes: a lock cannot travel."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def read(self, bucket: Bucket, index: int) -> tuple[int, Sample]:
        """Sample `index` of a bucket, or the next good one, with the index of that.

        Raises:
            ValueError: more than `max_bad` samples are bad, or all of the bucket.
        """
        members = bucket.members
        first = int(np.searchsorted(members, index))
        for position in range(first, first + len(members)):
            member = int(members[position % len(members)])
            if member in self._bad:
                continue
            try:
                return member, self._source[member]
            except BadSample as error:
                self._note(member, error)
        with self._lock:
            reasons = [self._bad[member] for member in members.tolist()]
        raise ValueError(
            f"no sample of latent shape {bucket.shape} can be read: {'; '.join(reasons)}"
        )

    def _note(self, index: int, error: BadSample) -> None:
        with self._lock:
            if index not in self._bad:
                self._bad[index] = str(error)
                log.warning(
                    "bad sample %d of at most %d, replaced by the next: %s",
                    len(self._bad), self._max_bad, error,
                )  # fmt: skip
            if len(self._bad) > self._max_bad:
                raise ValueError(
                    f"{len(self._bad)} samples cannot be read, more than "
                    f"data.max_bad={self._max_bad}: " + "; ".join(self._bad.values())
                ) from error


@dataclasses.dataclass(frozen=True)
class Steps:
    """The rows of the data shards `local` in each step, by the number of the step."""

    turns: Turns
    reader: Reader
    local: Sequence[int]
    text_tokens: int

    def __len__(self) -> int:
        return len(self.turns)

    def __getitem__(self, step: int) -> Batch:
        turn = self.turns[step].local(self.turns.shards, self.local)
        read = [self.reader.read(turn.bucket, index) for index in turn.samples.tolist()]
        indices = np.array([index for index, _ in read], np.int32)
        batch = stack([sample for _, sample in read], turn.bucket.shape, self.text_tokens)
        batch["sample"] = indices
        if turn.fill is not None:
            stands_in = indices != turn.samples
            batch["weight"] = np.where(turn.fill | stands_in, 0, 1).astype(np.float32)
        return batch


def crop(latent: Float[np.ndarray, "f h w c"], shape: Shape) -> Float[np.ndarray, "_f _h _w c"]:
    """The first frames, and the middle of each.

    Never a later start: the first latent of a clip of 8k+1 frames is its first frame alone, which
    image-to-video training takes for the given picture.
    """
    top, left = ((have - want) // 2 for have, want in zip(latent.shape[1:3], shape[1:]))
    return latent[: shape[0], top : top + shape[1], left : left + shape[2]]


def stack(samples: Sequence[Sample], shape: Shape, text_tokens: int) -> Batch:
    """Samples as arrays of one shape, without "sample" and "weight"."""
    rows, frames = len(samples), shape[0]
    text = np.zeros((rows, text_tokens, samples[0].text.shape[1]), np.float32)
    text_mask = np.zeros((rows, text_tokens), bool)
    for row, sample in enumerate(samples):
        length = min(len(sample.text), text_tokens)
        text[row, :length] = sample.text[:length]
        text_mask[row, :length] = sample.text_mask[:length]
    return {
        "latent": np.stack([crop(sample.latent, shape) for sample in samples]),
        "text": text,
        "text_mask": text_mask,
        "fps": np.array([sample.fps for sample in samples], np.float32),
        "frame_index": np.tile(np.arange(frames + 2, dtype=np.int32), (rows, 1)),
    }
