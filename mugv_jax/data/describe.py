# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A schedule in words: what its steps train on, how often, and what cropping costs."""

import math
from collections.abc import Sequence

import numpy as np

from mugv_jax.data.buckets import PATCH, Bucket, fill_buckets, token_count
from mugv_jax.data.data_config import DataConfig, Shape
from mugv_jax.data.samples import SampleSource
from mugv_jax.data.schedule import Schedule, make_schedule
from mugv_jax.data.select import split_holdout

HEADER = (
    "latent shape", "samples", "rows", "tokens", "steps", "share", "epochs", "per step", "cropped"
)  # fmt: skip


def describe(schedule: Schedule, patch: Shape = PATCH) -> list[str]:
    """Lines of a table of buckets and a summary.

    rows: samples of one data shard in one microbatch.  tokens: of these rows.
    epochs: how often the run sees each sample.  per step: how often one step does.
    cropped: share of the latents' volume that is cut off.
    """
    steps = np.bincount(schedule.bucket_of_step, minlength=len(schedule.buckets)).tolist()
    rows = [HEADER] + [
        _row(schedule, bucket, count) for bucket, count in zip(schedule.buckets, steps)
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
    return [*lines, *_summary(schedule, steps, patch)]


def describe_source(
    source: SampleSource, config: DataConfig, *, shards: int = 1, patch: Shape = PATCH
) -> list[str]:
    """The same of as many steps as see every training sample about once.

    Raises:
        ValueError: no samples, none that fit, or shapes beyond the token budget.
    """
    members, _ = split_holdout(source.names, config)
    buckets = fill_buckets(source.shapes, source.names, members, config, patch)
    steps = math.fsum(len(bucket.members) / (shards * bucket.rows) for bucket in buckets)
    schedule = make_schedule(
        buckets, config, shards=shards, total_steps=math.ceil(steps), seed=0, names=source.names
    )
    return describe(schedule, patch)


def cropped_share(buckets: Sequence[Bucket]) -> float:
    """Share of the samples' latent volume that no step sees."""
    kept = [len(bucket.members) * math.prod(bucket.shape) for bucket in buckets]
    whole = sum(each / (1 - bucket.cropped) for each, bucket in zip(kept, buckets))
    return 1 - sum(kept) / whole


def padding_share(bucket: Bucket, patch: Shape = PATCH) -> float:
    """Share of a bucket's tokens, start and end left out, that hold padding of the last patches."""
    tokens = token_count(bucket.shape, patch) - 2
    return 1 - math.prod(bucket.shape) / (tokens * math.prod(patch))


def _row(schedule: Schedule, bucket: Bucket, steps: int) -> tuple[str, ...]:
    per_step = schedule.batch(bucket) / len(bucket.members)
    return (
        "x".join(map(str, bucket.shape)),
        str(len(bucket.members)),
        str(bucket.rows),
        str(bucket.rows * bucket.tokens),
        str(steps),
        f"{steps / max(1, len(schedule)):.1%}",
        f"{steps * per_step:.2f}",
        f"{per_step:.2f}",
        f"{bucket.cropped:.1%}",
    )


def _summary(schedule: Schedule, steps: list[int], patch: Shape) -> list[str]:
    buckets = schedule.buckets
    tokens = np.array([schedule.batch(b) * b.tokens for b in buckets]) * steps
    padding = float(tokens @ [padding_share(b, patch) for b in buckets]) / max(1, tokens.sum())
    unseen = [b for b, count in zip(buckets, steps) if count * schedule.batch(b) < len(b.members)]
    repeating = [b for b in buckets if schedule.batch(b) > len(b.members)]
    lines = [
        f"{sum(len(b.members) for b in buckets)} samples in {len(buckets)} buckets, "
        f"{len(schedule)} steps on {schedule.shards} data shards, "
        f"{schedule.accumulation} microbatch(es) a step; {cropped_share(buckets):.1%} of the "
        f"latents cropped, {padding:.1%} of the tokens padding."
    ]
    if unseen:
        left = sum(
            len(b.members) - count * schedule.batch(b)
            for b, count in zip(buckets, steps)
            if b in unseen
        )
        lines.append(f"{left} samples of {len(unseen)} bucket(s) are not reached in these steps.")
    if repeating:
        lines.append(
            f"{len(repeating)} bucket(s) hold fewer samples than one step takes and repeat them "
            "within it: allow fewer buckets (data.max_buckets), or take smaller steps "
            "(data.tokens_per_shard)."
        )
    return lines
