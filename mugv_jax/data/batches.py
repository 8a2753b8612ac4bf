# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Batches of a run, for training and for validation: samples -> buckets -> schedule -> Grain.

Every process builds the same schedule from the same samples and reads its own rows of it. The
state of an iterator is the number of its next step, so it is the same in every process, and a run
resumes exactly with other numbers of threads, workers or processes.
"""

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

from mugv_jax.data.buckets import PATCH, Bucket, fill_buckets
from mugv_jax.data.data_config import DataConfig, Shape
from mugv_jax.data.reader import Batch, Reader, Steps
from mugv_jax.data.samples import SampleSource
from mugv_jax.data.schedule import Sweep, Turns, make_schedule
from mugv_jax.data.select import first_by_name, open_all, split_holdout

log = logging.getLogger(__name__)


class Batches(grain.DatasetIterator):
    """Batches of numpy arrays in the order of the steps, read ahead by threads or processes.

    config: has `threads`, `prefetch` and `workers`, as in `DataConfig`.

    `grain.checkpoint.CheckpointSave` and `CheckpointRestore` take it; `steps[i]` is batch i, in
    any order. Worker processes import the main module again: a script that asks for them needs an
    `if __name__ == "__main__"` guard.
    """

    def __init__(self, steps: grain.sources.RandomAccessDataSource, config: Any, digest: str):
        super().__init__()
        self.steps = steps
        self._config = config
        self._digest = digest
        self._next_step = 0
        self._inner: grain.DatasetIterator | None = None

    @property
    def schedule(self) -> Turns:
        """What the steps are."""
        return self.steps.turns

    def __next__(self) -> Batch:
        if self._next_step >= len(self.steps):
            raise StopIteration
        self.start_prefetch()
        batch = next(self._inner)
        self._next_step += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """Where the next batch comes from."""
        return {"next_step": self._next_step, "schedule": self._digest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken; says so where the batches are not the same ones."""
        if state["schedule"] != self._digest:
            log.warning(
                "the data, the seed or the samples per step are not those of the checkpoint: "
                "training goes on at step %d of the new order, in which some samples come again "
                "early.",
                state["next_step"],
            )
        self._drop_inner()
        self._next_step = state["next_step"]

    def start_prefetch(self) -> None:
        """Begins to read, if it has not begun."""
        if self._inner is None and self._next_step < len(self.steps):
            self._inner = iter(self._read_ahead(self._next_step))
            self._inner.start_prefetch()

    def close(self) -> None:
        """Ends threads and workers."""
        self._drop_inner()
        super().close()

    def _read_ahead(self, first: int) -> grain.IterDataset:
        config = self._config
        dataset = grain.MapDataset.source(self.steps)[first:].to_iter_dataset(
            grain.ReadOptions(
                num_threads=config.threads,
                prefetch_buffer_size=max(config.prefetch, config.threads) if config.prefetch else 0,
            )
        )
        if not config.workers:
            return dataset
        if not flags.FLAGS.is_parsed():  # Grain sends its flags to workers; we have none of our own
            flags.FLAGS.mark_as_parsed()
        return dataset.mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=config.workers,
                per_worker_buffer_size=max(1, math.ceil(config.prefetch / config.workers)),
            )
        )

    def _drop_inner(self) -> None:
        if self._inner is not None:
            self._inner.close()
            self._inner = None


def make_batches(
    source: SampleSource,
    config: DataConfig,
    *,
    shards: int,
    local: Sequence[int],
    total_steps: int,
    seed: int,
    accumulation: int = 1,
    patch: Shape = PATCH,
) -> Batches:
    """Training batches of this process.

    shards: parts in which a batch lies on the mesh (data x fsdp).
    local: the shards whose rows this process supplies.
    accumulation: microbatches of a step. Rows are ordered (shard, microbatch, row).
    patch: of the DiT, which decides how many tokens a latent is.

    Raises:
        ValueError: no samples, none that fit, or shapes beyond the token budget.
    """
    members, _ = split_holdout(source.names, config)
    schedule = make_schedule(
        fill_buckets(source.shapes, source.names, members, config, patch),
        config,
        shards=shards,
        total_steps=total_steps,
        seed=seed,
        names=source.names,
        accumulation=accumulation,
    )
    steps = Steps(schedule, Reader(source, config.max_bad), local, config.text_tokens)
    return Batches(steps, config, schedule.digest)


@dataclasses.dataclass(frozen=True)
class Validation:
    """One pass over the held-out samples for each `iter()`, always in the same order."""

    steps: Steps
    config: DataConfig

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Batches:
        return Batches(self.steps, self.config, digest="validation")


def make_validation(
    source: SampleSource,
    config: DataConfig,
    *,
    like: Sequence[Bucket],
    shards: int,
    local: Sequence[int],
    patch: Shape = PATCH,
) -> Validation:
    """Batches of the held-out samples, with "weight" 0 in rows that only fill a shape.

    source: of training; `config.holdout_paths` are opened here.
    like: the buckets of training, whose shapes are used again.

    Raises:
        ValueError: nothing is held out, or none of it fits the shapes of training.
    """
    if config.holdout_paths:
        source = open_all(config.holdout_paths)
        members = first_by_name(source.names, np.arange(len(source)), config.max_holdout)
    else:
        _, members = split_holdout(source.names, config)
    if not len(members):
        raise ValueError(
            f"data.holdout={config.holdout} holds out none of {len(source)} samples: raise it, or "
            "name others in data.holdout_paths."
        )
    config = dataclasses.replace(config, shapes=tuple(b.shape for b in like), workers=0)
    buckets = fill_buckets(source.shapes, source.names, members, config, patch)
    steps = Steps(Sweep(buckets, shards), Reader(source, config.max_bad), local, config.text_tokens)
    return Validation(steps, config)
