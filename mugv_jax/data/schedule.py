# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Which samples every step trains on: a function of the data, the config and the seed alone.

A step takes one bucket on all data shards, so that every shard has the same work and no process
needs to ask another. Each bucket walks through its samples in an order that is drawn anew for
every epoch; what is left at the end of one fills up from the next, so no sample is dropped and
none comes twice before all have come once. A bucket with fewer samples than a global batch
repeats them within the batch.

Processes must agree to the last bit: sums over buckets are exact (`fsum`), as NumPy's depend on
the width of a processor's registers.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Sequence

import numpy as np

from mugv_jax.axes import Bool, Float, Int
from mugv_jax.data.buckets import Bucket
from mugv_jax.data.data_config import DataConfig, Shape


@dataclasses.dataclass(frozen=True, eq=False)
class Turn:
    """A global batch: samples of one bucket.

    Order of the rows: data shard, microbatch, row. So a shard's rows are contiguous, and any mesh
    with the same number of samples per step trains on the same ones.

    fill: rows that only complete the shape and must not count; None where all count.
    """

    bucket: Bucket
    samples: Int[np.ndarray, "b"]
    fill: Bool[np.ndarray, "b"] | None = None

    def local(self, shards: int, local: Sequence[int]) -> "Turn":
        """The rows of the data shards `local` of `shards`."""
        per_shard = len(self.samples) // shards
        rows = np.concatenate([shard * per_shard + np.arange(per_shard) for shard in local])
        fill = None if self.fill is None else self.fill[rows]
        return Turn(self.bucket, self.samples[rows], fill)


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """Training: step -> `Turn`, in any order.

    bucket_of_step: number of each step's bucket.
    turn_of_step: how often that bucket came before.
    digest: the same where data, config, seed and samples per step are the same, whatever the
        number of steps.
    """

    buckets: tuple[Bucket, ...]
    shards: int
    accumulation: int
    seed: int
    bucket_of_step: Int[np.ndarray, "steps"]
    turn_of_step: Int[np.ndarray, "steps"]
    digest: str

    def __len__(self) -> int:
        return len(self.bucket_of_step)

    def batch(self, bucket: Bucket) -> int:
        """Samples of one step of a bucket, over all shards."""
        return self.shards * self.accumulation * bucket.rows

    def __getitem__(self, step: int) -> Turn:
        bucket = self.buckets[self.bucket_of_step[step]]
        batch, count = self.batch(bucket), len(bucket.members)
        first = int(self.turn_of_step[step]) * batch
        epochs = range(first // count, (first + batch - 1) // count + 1)
        order = np.concatenate([permutation(count, self.seed, bucket.shape, e) for e in epochs])
        samples = order[first - epochs.start * count :][:batch]
        return Turn(bucket, bucket.members[samples])


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """Validation: every sample once, bucket by bucket, always in the same order.

    A bucket's last batch is filled up with its samples from the beginning, marked as fill.
    """

    buckets: tuple[Bucket, ...]
    shards: int

    @functools.cached_property
    def _steps(self) -> tuple[tuple[Bucket, range], ...]:
        """Bucket and positions in it of each step; no more rows than the bucket can fill."""
        steps = []
        for bucket in self.buckets:
            rows = self.shards * min(bucket.rows, -(-len(bucket.members) // self.shards))
            firsts = range(0, len(bucket.members), rows)
            steps += [(bucket, range(first, first + rows)) for first in firsts]
        return tuple(steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, step: int) -> Turn:
        bucket, positions = self._steps[step]
        position, count = np.array(positions), len(bucket.members)
        return Turn(bucket, bucket.members[position % count], position >= count)


Turns = Schedule | Sweep


def make_schedule(
    buckets: Sequence[Bucket],
    config: DataConfig,
    *,
    shards: int,
    total_steps: int,
    seed: int,
    names: Sequence[str],
    accumulation: int = 1,
) -> Schedule:
    """The schedule of a run; the first steps of a longer run are those of a shorter one.

    Which steps train on images follows `config.image_share`; within images and within clips,
    buckets come in proportion to their samples, as evenly as possible.

    Raises:
        ValueError: `image_share` asks for images, or for clips, where there are none.
    """
    batch = np.array([shards * accumulation * bucket.rows for bucket in buckets])
    demand = np.array([len(bucket.members) for bucket in buckets]) / batch  # steps of an epoch
    image = np.array([bucket.is_image for bucket in buckets])
    image_step = _image_steps(config, total_steps, demand, image)
    bucket_of_step = np.empty(total_steps, np.int64)
    for steps, group in ((image_step, image), (~image_step, ~image)):
        if np.any(steps):
            numbers = np.flatnonzero(group)
            share = demand[numbers] / math.fsum(demand[numbers])
            bucket_of_step[steps] = numbers[take_turns(share, int(np.sum(steps)))]
    return Schedule(
        tuple(buckets),
        shards,
        accumulation,
        seed,
        bucket_of_step,
        _turns(bucket_of_step, len(buckets)),
        _digest(buckets, batch, config, seed, names),
    )


def take_turns(share: Float[np.ndarray, "n"], steps: int) -> Int[np.ndarray, "steps"]:
    """Who is next, so that after k steps each i has had share[i] k turns, to less than one turn.

    Tijdeman, "The chairman assignment problem" (1980): of those who are owed at least
    1 / (2n - 2) of a turn take the one whose next turn is due first.
    """
    if len(share) == 1:
        return np.zeros(steps, np.int64)
    slack = 1 / (2 * len(share) - 2)
    rounding = 1e-9  # of the running sums: with two buckets both may be owed exactly the slack
    turns, had = np.empty(steps, np.int64), np.zeros(len(share))
    for step in range(steps):
        owed = share * (step + 1) - had
        due = np.where(owed >= slack - rounding, (1 - slack - owed) / share, np.inf)
        turns[step] = chosen = np.argmin(due)
        had[chosen] += 1
    return turns


@functools.lru_cache(maxsize=128)  # this epoch and the next, of every bucket
def permutation(count: int, seed: int, shape: Shape, epoch: int) -> Int[np.ndarray, "n"]:
    """Order of a bucket's samples in one epoch.

    Sorts raw random bits: NumPy promises their stream for all versions, but not that of its own
    `permutation`, and a run must resume exactly under the next one.
    """
    bits = np.random.Philox(np.random.SeedSequence((seed, *shape, epoch)))
    return np.argsort(bits.random_raw(count), kind="stable").astype(np.int32)


def _image_steps(
    config: DataConfig,
    total_steps: int,
    demand: Float[np.ndarray, "n"],
    image: Bool[np.ndarray, "n"],
) -> Bool[np.ndarray, "steps"]:
    """Which steps train on images: their number never strays from its share by over 1/2."""
    natural = math.fsum(demand[image]) / math.fsum(demand)
    start, end = config.image_share or (natural, natural)
    progress = np.minimum(np.arange(total_steps) / config.image_share_steps, 1)
    total = np.cumsum(start + (end - start) * progress)
    wanted = np.floor(np.concatenate(([0.0], total)) + 0.5).astype(np.int64)
    steps = np.diff(wanted) > 0
    for what, needed, present in (("image", steps, image), ("clip", ~steps, ~image)):
        if np.any(needed) and not np.any(present):
            raise ValueError(
                f"data.image_share={config.image_share} asks for steps on {what}s, but no bucket "
                f"holds {what}s: add some to data.paths, or leave image_share empty."
            )
    return steps


def _turns(bucket_of_step: Int[np.ndarray, "steps"], buckets: int) -> Int[np.ndarray, "steps"]:
    """For each step how many steps before it had the same bucket."""
    turns = np.empty(len(bucket_of_step), np.int64)
    for number in range(buckets):
        steps = np.flatnonzero(bucket_of_step == number)
        turns[steps] = np.arange(len(steps))
    return turns


def _digest(
    buckets: Sequence[Bucket],
    batch: Int[np.ndarray, "n"],
    config: DataConfig,
    seed: int,
    names: Sequence[str],
) -> str:
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr((seed, config.image_share, config.image_share_steps)).encode())
    for bucket, samples in zip(buckets, batch.tolist()):
        digest.update(repr((bucket.shape, samples)).encode())
        digest.update("\0".join(names[i] for i in bucket.members).encode())
    return digest.hexdigest()
