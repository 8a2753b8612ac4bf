# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Description of a schedule: its buckets, how often samples are seen, and what cropping costs."""

import math
from collections.abc import Sequence

import numpy as np

from mugv_jax.data.buckets import Bucket, Tokens, fill_buckets
from mugv_jax.data.data_config import DataConfig, Shape
from mugv_jax.data.holdout import split_holdout
from mugv_jax.data.samples import SampleSource
from mugv_jax.data.schedule import Schedule, make_schedule

HEADER = (
    "latent shape", "samples", "rows", "tokens", "steps", "share", "epochs", "per step", "cropped"
)  # fmt: skip


def describe(schedule: Schedule, *, patch: Shape) -> list[str]:
    """Lines of a table of buckets and a summary.

    patch: (f, h, w) of the model's patches; latents are padded to whole patches.

    Columns of the table:
        rows: samples of one data shard in one microbatch.
        tokens: video tokens of these rows.
        epochs: how often the run sees each sample.
        per step: how often one step sees each sample.
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
    source: SampleSource, config: DataConfig, *, shards: int = 1, tokens: Tokens, patch: Shape
) -> list[str]:
    """Description of as many steps as see every training sample about once.

    patch: see `describe`.
    """
    members, _ = split_holdout(source.names, config)
    buckets = fill_buckets(source.shapes, source.names, members, config, tokens)
    steps = math.fsum(len(bucket.members) / (shards * bucket.rows) for bucket in buckets)
    schedule = make_schedule(
        buckets, config, shards=shards, total_steps=math.ceil(steps), seed=0, names=source.names
    )
    return describe(schedule, patch=patch)


def cropped_share(buckets: Sequence[Bucket]) -> float:
    """Share of the samples' latent volume that cropping removes."""
    kept = [len(bucket.members) * math.prod(bucket.shape) for bucket in buckets]
    whole = sum(each / (1 - bucket.cropped) for each, bucket in zip(kept, buckets))
    return 1 - sum(kept) / whole


def padding_share(shape: Shape, patch: Shape) -> float:
    """Share of a latent's patches that is padding, since the last ones need not be full."""
    padded = math.prod(-(-size // each) * each for size, each in zip(shape, patch))
    return 1 - math.prod(shape) / padded


def _row(schedule: Schedule, bucket: Bucket, steps: int) -> tuple[str, ...]:
    """Cells of a bucket that `steps` steps use, in the order of HEADER."""
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
    """Lines about all buckets together; `steps` has the number of steps of each."""
    buckets = schedule.buckets
    tokens = np.array([schedule.batch(b) * b.tokens for b in buckets]) * steps
    shares = [padding_share(bucket.shape, patch) for bucket in buckets]
    padding = float(tokens @ shares) / max(1, tokens.sum())
    left = [len(b.members) - count * schedule.batch(b) for b, count in zip(buckets, steps)]
    unseen = [count for count in left if count > 0]
    repeating = [b for b in buckets if schedule.batch(b) > len(b.members)]
    lines = [
        f"{sum(len(b.members) for b in buckets)} samples in {len(buckets)} buckets, "
        f"{len(schedule)} steps on {schedule.shards} data shards, "
        f"{schedule.accumulation} microbatch(es) a step; {cropped_share(buckets):.1%} of the "
        f"latents cropped, {padding:.1%} of the tokens padding."
    ]
    if unseen:
        lines.append(
            f"{sum(unseen)} samples of {len(unseen)} bucket(s) are not reached in these steps."
        )
    if repeating:
        fewer = "allow fewer buckets (data.max_buckets), or " if len(buckets) > 1 else ""
        lines.append(
            f"{len(repeating)} bucket(s) hold fewer samples than one step takes and repeat them "
            f"within it: {fewer}take smaller steps (data.batch or data.tokens_per_shard)."
        )
    return lines
