# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of a step's samples into one batch; unreadable samples are replaced.

A batch holds the arrays of all fields (see `fields.py`) and

    sample       int32   (b)           index of the sample in its source
    weight       float32 (b)           only in validation: 0 for rows that only fill the shape
"""

import dataclasses
import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.buckets import Bucket
from mugv_jax.data.fields import BatchSizes, Fields
from mugv_jax.data.samples import Sample, SampleSource
from mugv_jax.data.schedule import Schedule, SinglePass

Batch = dict[str, np.ndarray]

log = logging.getLogger(__name__)


class Reader:
    """Reads samples from several threads; the next good sample of a bucket replaces a bad one.

    A sample with one bad field is replaced as a whole. The replacement depends on which files are
    bad, never on when they were read, so a resumed run sees the same samples. Every process, and
    every worker process, counts bad samples by itself.
    """

    def __init__(self, source: SampleSource, max_bad: int):
        self.fields: Fields = source.fields
        self._source = source
        self._max_bad = max_bad
        self._bad: dict[int, str] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """State for worker processes; a lock cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def read(self, bucket: Bucket, index: int) -> tuple[int, Sample]:
        """Sample `index` of a bucket or the next good one, and its index.

        Raises:
            ValueError: more than `max_bad` samples are bad, or all samples of the bucket.
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
        """Counts a bad sample once, however many threads meet it, and refuses too many."""
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
    """The batch of every step, by its number: only the rows of the data shards `local`."""

    schedule: Schedule | SinglePass
    reader: Reader
    local: Sequence[int]
    text_tokens: int

    def __len__(self) -> int:
        return len(self.schedule)

    def __getitem__(self, step: int) -> Batch:
        drawn = self.schedule[step].local(self.schedule.shards, self.local)
        read = [self.reader.read(drawn.bucket, index) for index in drawn.samples.tolist()]
        indices = np.array([index for index, _ in read], np.int32)
        sizes = BatchSizes(drawn.bucket.shape, self.text_tokens)
        batch: Batch = {"sample": indices}
        for field in self.reader.fields:
            batch |= field.stack([sample[field.name] for _, sample in read], sizes)
        if drawn.fill is not None:
            replaced = indices != drawn.samples
            batch["weight"] = np.where(drawn.fill | replaced, 0, 1).astype(np.float32)
        return batch
