# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the data that a run trains on."""

import dataclasses

from mugv_jax.bounds import require_at_least

Shape = tuple[int, int, int]  # (f, h, w) of a latent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How batches are read ahead.

    threads: threads that read, in each process or in each worker process.
    prefetch: batches that are held ready on the host (at least one for each thread); 0 reads none
        ahead.
    workers: worker processes that read; 0 reads in threads of the training process.
    """

    threads: int = 4
    prefetch: int = 4
    workers: int = 0

    def __post_init__(self):
        require_at_least(0, self, "threads", "prefetch", "workers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Reading):
    """Samples of a run, the buckets that they are cut to, and how they are read.

    Samples
        paths: published `train.csv` files (or their folders) and packed folders, used as one
            source.
        holdout_paths: samples that are used for validation only.
        holdout: without `holdout_paths`, the share of the samples of `paths` that is kept for
            validation. A hash of its name chooses a sample, so adding data never moves a sample
            between training and validation.
        max_holdout: largest number of samples to validate on.
        text_tokens: length that texts are cut or padded to.

    Buckets
        tokens_per_shard: largest number of video tokens of one data shard in one microbatch; it
            bounds the memory of activations. Several samples of a small shape fill it.
        batch: samples of a step on all data shards and in all microbatches, so that a run is the
            same on any number of devices; 0 takes as many as the two limits below allow.
        max_rows: largest number of samples of one data shard in one microbatch. It bounds the
            memory of texts, which `tokens_per_shard` does not count: a picture has as much text as
            a clip (4.9 MB with T5-XXL).
        shapes: latent shapes (f, h, w) to train on, each of which is one compiled program. Empty
            chooses at most `max_buckets` shapes that keep as much of the samples as possible.
        crop_limit: largest share of a frame's area that may be cut off to fit a bucket. Any number
            of frames may be cut off at the end.
        image_share: (start, end) of the share of steps that train on images, moved linearly over
            the first `image_share_steps` steps. Empty uses every sample, image or clip, equally
            often.

    Reading, besides the fields of `Reading`
        max_bad: largest number of unreadable samples that a process replaces by others; one more
            ends the run.

    Raises:
        ValueError: values out of range.
    """

    paths: tuple[str, ...] = ()
    holdout_paths: tuple[str, ...] = ()
    holdout: float = 0.0
    max_holdout: int = 256
    text_tokens: int = 300
    tokens_per_shard: int = 50_402
    batch: int = 0
    max_rows: int = 32
    shapes: tuple[tuple[int, ...], ...] = ()
    max_buckets: int = 32
    crop_limit: float = 0.3
    image_share: tuple[float, ...] = ()
    image_share_steps: int = 1
    max_bad: int = 16

    def __post_init__(self):
        super().__post_init__()
        require_at_least(
            1, self, "max_holdout", "text_tokens", "tokens_per_shard", "max_rows", "max_buckets",
            "image_share_steps",
        )  # fmt: skip
        require_at_least(0, self, "max_bad", "batch")
        for field in ("holdout", "crop_limit"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)} must lie in [0, 1).")
        for shape in self.shapes:
            if len(shape) != 3 or min(shape) < 1:
                raise ValueError(
                    f"shapes holds {shape}: a latent shape is (frames, rows, columns), each at "
                    "least 1; 5 s at 1280 x 720 are (14, 90, 160)."
                )
        if len(self.image_share) not in (0, 2) or not all(0 <= s <= 1 for s in self.image_share):
            raise ValueError(
                f"image_share={self.image_share} must be (start, end), both in [0, 1], or empty."
            )
