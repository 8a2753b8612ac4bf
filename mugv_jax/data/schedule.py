# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The samples of every step, a function of the data, the config and the seed alone.

A step uses one bucket on all data shards, so every shard has the same work and no process needs to
ask another. Each bucket goes through its samples in an order that is drawn anew for every epoch. A
batch at the end of an epoch is completed from the next epoch, so no sample is dropped and none
comes twice before all have come once. A bucket with fewer samples than a global batch repeats them
within the batch.

Processes must agree to the last bit: sums over buckets are exact (`fsum`), because NumPy's sums
depend on the width of a processor's registers.
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
class StepSamples:
    """The samples of a step, or of some data shards in it, as indices; all are of one bucket.

    Rows are ordered by data shard, then microbatch, then row. The rows of a shard are therefore
    contiguous, and every mesh with the same number of samples per step trains on the same ones.

    fill: marks rows that only complete the shape and must not count; None if all rows count.
    """

    bucket: Bucket
    samples: Int[np.ndarray, "b"]
    fill: Bool[np.ndarray, "b"] | None = None

    def local(self, shards: int, local: Sequence[int]) -> "StepSamples":
        """The rows of the data shards `local`, out of `shards`."""
        per_shard = len(self.samples) // shards
        rows = np.concatenate([shard * per_shard + np.arange(per_shard) for shard in local])
        fill = None if self.fill is None else self.fill[rows]
        return StepSamples(self.bucket, self.samples[rows], fill)


@dataclasses.dataclass(frozen=True, eq=False)
class Schedule:
    """The samples of every training step, which may be asked for in any order.

    shards, accumulation: data shards of a step, and microbatches of each.
    bucket_of_step: index of each step's bucket.
    digest: identifies data, config, seed and samples per step, but not the number of steps.
    """

    buckets: tuple[Bucket, ...]
    shards: int
    accumulation: int
    seed: int
    bucket_of_step: Int[np.ndarray, "steps"]
    digest: str

    def __len__(self) -> int:
        return len(self.bucket_of_step)

    @functools.cached_property
    def _earlier_steps(self) -> Int[np.ndarray, "steps"]:
        return earlier_uses(self.bucket_of_step)

    def batch(self, bucket: Bucket) -> int:
        """Samples of one step of a bucket, on all shards together."""
        return self.shards * self.accumulation * bucket.rows

    def __getitem__(self, step: int) -> StepSamples:
        bucket = self.buckets[self.bucket_of_step[step]]
        batch, count = self.batch(bucket), len(bucket.members)
        first = int(self._earlier_steps[step]) * batch
        epochs = range(first // count, (first + batch - 1) // count + 1)
        order = np.concatenate([permutation(count, self.seed, bucket.shape, e) for e in epochs])
        samples = order[first - epochs.start * count :][:batch]
        return StepSamples(bucket, bucket.members[samples])


@dataclasses.dataclass(frozen=True, eq=False)
class SinglePass:
    """The samples of every validation step: all samples once, in the same order every time.

    Buckets follow one another. The last batch of a bucket is completed with the bucket's first
    samples, which are marked as fill.
    """

    buckets: tuple[Bucket, ...]
    shards: int

    @functools.cached_property
    def _steps(self) -> tuple[tuple[Bucket, range], ...]:
        """The bucket of each step, and positions in it; no more rows than the bucket can fill."""
        steps = []
        for bucket in self.buckets:
            rows = self.shards * min(bucket.rows, -(-len(bucket.members) // self.shards))
            firsts = range(0, len(bucket.members), rows)
            steps += [(bucket, range(first, first + rows)) for first in firsts]
        return tuple(steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, step: int) -> StepSamples:
        bucket, positions = self._steps[step]
        position, count = np.array(positions), len(bucket.members)
        return StepSamples(bucket, bucket.members[position % count], position >= count)


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
    """The schedule of a run; a longer run begins with the steps of a shorter one.

    `config.image_share` decides which steps train on images. Among image steps and among clip
    steps, buckets are used in proportion to their samples, as evenly as possible.

    shards, accumulation: data shards of a step, and microbatches of each.
    names: the name of every sample of the source.

    Raises:
        ValueError: `image_share` asks for images, or for clips, where there are none.
    """
    batch = np.array([shards * accumulation * bucket.rows for bucket in buckets])
    demand = np.array([len(bucket.members) for bucket in buckets]) / batch  # steps per epoch
    image = np.array([bucket.is_image for bucket in buckets])
    image_step = _image_steps(config, total_steps, demand, image)
    bucket_of_step = np.empty(total_steps, np.int64)
    for steps, group in ((image_step, image), (~image_step, ~image)):
        if np.any(steps):
            numbers = np.flatnonzero(group)
            share = demand[numbers] / math.fsum(demand[numbers])
            bucket_of_step[steps] = numbers[proportional_order(share, int(np.sum(steps)))]
    return Schedule(
        tuple(buckets),
        shards,
        accumulation,
        seed,
        bucket_of_step,
        _digest(buckets, batch, config, seed, names),
    )


def earlier_uses(choice: Int[np.ndarray, "steps"]) -> Int[np.ndarray, "steps"]:
    """Number of earlier steps with the same choice, for each step."""
    earlier = np.empty(len(choice), np.int64)
    for each in np.unique(choice):
        steps = np.flatnonzero(choice == each)
        earlier[steps] = np.arange(len(steps))
    return earlier


def proportional_order(share: Float[np.ndarray, "n"], steps: int) -> Int[np.ndarray, "steps"]:
    """Index to choose in every step, so that each i is chosen in proportion to share[i].

    After k steps, i was chosen share[i] k times, with an error below one. Tijdeman, "The chairman
    assignment problem" (1980): among the indices that lag by at least 1 / (2n - 2), choose the one
    whose next choice is due first.
    """
    if len(share) == 1:
        return np.zeros(steps, np.int64)
    slack = 1 / (2 * len(share) - 2)
    rounding = 1e-9  # of the running sums: two indices may both lag by exactly the slack
    order, times = np.empty(steps, np.int64), np.zeros(len(share))
    for step in range(steps):
        lag = share * (step + 1) - times
        due = np.where(lag >= slack - rounding, (1 - slack - lag) / share, np.inf)
        order[step] = chosen = np.argmin(due)
        times[chosen] += 1
    return order


@functools.lru_cache(maxsize=128)  # holds this epoch and the next of every bucket
def permutation(count: int, seed: int, shape: Shape, epoch: int) -> Int[np.ndarray, "n"]:
    """Order of a bucket's samples in one epoch.

    It sorts raw random bits, whose stream NumPy keeps in all versions. The stream of NumPy's own
    `permutation` may change, and a run must resume exactly under the next version.
    """
    bits = np.random.Philox(np.random.SeedSequence((seed, *shape, epoch)))
    return np.argsort(bits.random_raw(count), kind="stable").astype(np.int32)


def _image_steps(
    config: DataConfig,
    total_steps: int,
    demand: Float[np.ndarray, "n"],
    image: Bool[np.ndarray, "n"],
) -> Bool[np.ndarray, "steps"]:
    """Which steps train on images; their number never differs from its share by more than 1/2.

    demand: steps per epoch of each bucket.  image: whether the bucket holds images.
    """
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


def _digest(
    buckets: Sequence[Bucket],
    batch: Int[np.ndarray, "n"],
    config: DataConfig,
    seed: int,
    names: Sequence[str],
) -> str:
    """Hash of all that decides which samples a step trains on."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr((seed, config.image_share, config.image_share_steps)).encode())
    for bucket, samples in zip(buckets, batch.tolist()):
        digest.update(repr((bucket.shape, samples)).encode())
        digest.update("\0".join(names[int(i)] for i in bucket.members).encode())
    return digest.hexdigest()
