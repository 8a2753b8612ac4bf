# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Batches for training and validation: samples -> buckets -> schedule -> Grain.

Every process builds the same schedule from the same samples, and reads its own rows of it. The
state of an iterator is the number of its next step. It is the same in every process, and a run
resumes exactly with other numbers of threads, workers or processes.
"""

import contextlib
import dataclasses
import logging
import math
import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any

import grain
import numpy as np
from absl import flags

from mugv_jax.data.buckets import Bucket, Tokens, fill_buckets
from mugv_jax.data.data_config import DataConfig, Reading
from mugv_jax.data.holdout import first_by_name, split_holdout
from mugv_jax.data.open import open_all
from mugv_jax.data.reader import Batch, Reader, Steps
from mugv_jax.data.samples import Indexed, SampleSource
from mugv_jax.data.schedule import Schedule, SinglePass, make_schedule

log = logging.getLogger(__name__)


class Batches(grain.DatasetIterator):
    """Batches of numpy arrays in the order of the steps, read ahead by threads or processes.

    `grain.checkpoint.CheckpointSave` and `CheckpointRestore` accept it. Worker processes import the
    main module again, so a script that uses them needs an `if __name__ == "__main__"` guard.

    steps: batch i is `steps[i]`; batches may be asked for in any order.
    digest: identifies the order of the samples, see `Schedule`.
    """

    def __init__(self, steps: Indexed[Batch], config: Reading, digest: str):
        super().__init__()
        self.steps = steps
        self._config = config
        self.digest = digest
        self._next_step = 0
        self._inner: grain.DatasetIterator | None = None

    @property
    def schedule(self) -> Schedule | SinglePass:
        """The samples of every step."""
        assert isinstance(self.steps, Steps)
        return self.steps.schedule

    def __next__(self) -> Batch:
        if self._next_step >= len(self.steps):
            raise StopIteration
        self.start_prefetch()
        assert self._inner is not None
        with self._may_start_workers():
            batch = next(self._inner)
        self._next_step += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """The number of the next step, and the digest of the order that it counts in."""
        return {"next_step": self._next_step, "schedule": self.digest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues where `state` was taken; logs a warning if the order of samples has changed."""
        if state["schedule"] != self.digest:
            log.warning(
                "the data, the seed or the samples per step are not those of the checkpoint: "
                "training continues at step %d of the new order, so some samples are repeated "
                "early.",
                state["next_step"],
            )
        self._drop_inner()
        self._next_step = state["next_step"]

    def start_prefetch(self) -> None:
        """Starts reading ahead, unless it has started."""
        if self._inner is None and self._next_step < len(self.steps):
            with self._may_start_workers():
                self._inner = iter(self._read_ahead(self._next_step))
                self._inner.start_prefetch()

    def close(self) -> None:
        """Ends the threads and worker processes."""
        self._drop_inner()
        super().close()

    def _read_ahead(self, first: int) -> grain.IterDataset:
        """The batches from step `first` on."""
        config = self._config
        source: Any = self.steps  # Grain's own protocol names the argument of `__getitem__`
        dataset = grain.MapDataset.source(source)[first:].to_iter_dataset(
            grain.ReadOptions(
                num_threads=config.threads,
                prefetch_buffer_size=max(config.prefetch, config.threads) if config.prefetch else 0,
            )
        )
        if not config.workers:
            return dataset
        if not flags.FLAGS.is_parsed():  # Grain passes absl's flags to its workers
            flags.FLAGS.mark_as_parsed()
        return dataset.mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=config.workers,
                per_worker_buffer_size=max(1, math.ceil(config.prefetch / config.workers)),
            )
        )

    def _may_start_workers(self) -> contextlib.AbstractContextManager[None]:
        """Grain starts workers from threads of its own, which it makes as late as the first batch.

        Threads and processes inherit the signals that are blocked where they are made.
        """
        return starting_workers() if self._config.workers else contextlib.nullcontext()

    def _drop_inner(self) -> None:
        if self._inner is not None:
            self._inner.close()
            self._inner = None


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """Context in which worker processes are started that leave signals and words to this process.

    Ctrl-C in a terminal reaches all processes; workers would end with tracebacks. Shared memory of
    batches that nobody took is removed by a process of Python, which says so on stderr.
    """
    sys.warnoptions.append("ignore:resource_tracker")  # inherited by that process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        resource_tracker.ensure_running()  # it unblocks SIGINT when it has started its process
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        sys.warnoptions.remove("ignore:resource_tracker")
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def make_batches(
    source: SampleSource,
    config: DataConfig,
    *,
    shards: int,
    local: Sequence[int],
    total_steps: int,
    seed: int,
    tokens: Tokens,
    accumulation: int = 1,
) -> Batches:
    """Training batches of this process.

    shards: number of parts that the mesh splits a batch into (data x fsdp).
    local: the shards whose rows this process supplies.
    accumulation: microbatches of a step. Rows are ordered by shard, then microbatch, then row.

    Raises:
        ValueError: no samples, none that fit, shapes beyond the token budget, or a `config.batch`
            that cannot be split so.
    """
    members, _ = split_holdout(source.names, config)
    if config.batch:
        rows = _rows(config.batch, shards, accumulation)
        config = dataclasses.replace(config, max_rows=rows)
    buckets = fill_buckets(source.shapes, source.names, members, config, tokens)
    if config.batch:
        _check_rows(buckets, config)
    schedule = make_schedule(
        buckets,
        config,
        shards=shards,
        total_steps=total_steps,
        seed=seed,
        names=source.names,
        accumulation=accumulation,
    )
    steps = Steps(schedule, Reader(source, config.max_bad), local, config.text_tokens)
    return Batches(steps, config, schedule.digest)


def _rows(batch: int, shards: int, accumulation: int) -> int:
    """Samples of one data shard in one microbatch, of a step of `batch` samples."""
    rows, rest = divmod(batch, shards * accumulation)
    if rest or not rows:
        raise ValueError(
            f"data.batch={batch} must be a whole multiple of {shards * accumulation}: {shards} "
            f"data shards of {accumulation} microbatches (run.accumulate) each take as many."
        )
    return rows


def _check_rows(buckets: Sequence[Bucket], config: DataConfig) -> None:
    """Raise a ValueError if the token budget does not hold the rows of `config.batch`."""
    for bucket in buckets:
        if bucket.rows < config.max_rows:
            raise ValueError(
                f"data.batch={config.batch} puts {config.max_rows} samples of latent shape "
                f"{bucket.shape} on a data shard, {config.max_rows * bucket.tokens} tokens, more "
                f"than data.tokens_per_shard={config.tokens_per_shard}: raise run.accumulate, or "
                "the budget if memory allows."
            )


@dataclasses.dataclass(frozen=True)
class Validation:
    """Batches of the held-out samples; every `iter()` is one pass in the same order."""

    steps: Indexed[Batch]
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
    tokens: Tokens,
) -> Validation:
    """Batches of the held-out samples, with "weight" 0 in rows that only fill a shape.

    source: the samples of training; `config.holdout_paths` are opened here.
    like: the buckets of training, whose shapes are used for validation too.
    shards, local: see `make_batches`.

    Raises:
        ValueError: no sample is held out, or none of those fits the shapes of training.
    """
    if config.holdout_paths:
        source = open_all(config.holdout_paths, source.fields)
        members = first_by_name(source.names, np.arange(len(source)), config.max_holdout)
    else:
        _, members = split_holdout(source.names, config)
    if not len(members):
        raise ValueError(
            f"data.holdout={config.holdout} holds out none of {len(source)} samples: raise it, or "
            "name others in data.holdout_paths."
        )
    shapes = tuple(bucket.shape for bucket in like)
    config = dataclasses.replace(config, shapes=shapes, batch=0, workers=0)
    buckets = fill_buckets(source.shapes, source.names, members, config, tokens)
    schedule = SinglePass(buckets, shards)
    steps = Steps(schedule, Reader(source, config.max_bad), local, config.text_tokens)
    return Validation(steps, config)
