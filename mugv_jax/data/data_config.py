# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What a run trains on, and how its samples become batches."""

import dataclasses

from mugv_jax.bounds import require_at_least

Shape = tuple[int, ...]  # (f, h, w) of a latent


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Samples, buckets and reading.

    Samples
        paths: published `train.csv` files (or their folders) and packed folders, used as one.
        holdout_paths: samples for validation only.
        holdout: share of the samples of `paths` that are kept for validation instead. A sample is
            chosen by its name, so that adding data moves none from one side to the other.
        max_holdout: validate on at most so many of them.
        text_tokens: text features are cut or padded to it.

    Buckets
        tokens_per_shard: most video tokens of one data shard in one microbatch; it bounds the
            activations' memory. Small shapes fill it with several samples.
        max_rows: most samples of one data shard in one microbatch. A picture has as much text as a
            clip (4.9 MB with T5-XXL), and that is not counted in `tokens_per_shard`.
        shapes: the latent shapes (f, h, w) to train on; empty chooses at most `max_buckets` that
            keep as many tokens as possible. Each shape is one compiled program.
        crop_limit: largest share of a frame's area that fitting a bucket may cut off. Frames
            may be cut off at the end without limit.
        image_share: (start, end) of the share of steps that train on images, moved linearly over
            the first `image_share_steps`. Empty: every sample, image or clip, equally often.

    Reading
        threads: that read, in each process (or in each worker process, where there are any).
        prefetch: batches held ready on the host (at least one for each thread); 0 reads none ahead.
        workers: worker processes beside the one that trains; 0 reads in threads only.
        max_bad: a process gives up when it has met more unreadable samples than these.

    Raises:
        ValueError: values out of range.
    """

    paths: tuple[str, ...] = ()
    holdout_paths: tuple[str, ...] = ()
    holdout: float = 0.0
    max_holdout: int = 256
    text_tokens: int = 300
    tokens_per_shard: int = 50_402
    max_rows: int = 32
    shapes: tuple[Shape, ...] = ()
    max_buckets: int = 32
    crop_limit: float = 0.3
    image_share: tuple[float, ...] = ()
    image_share_steps: int = 1
    threads: int = 4
    prefetch: int = 4
    workers: int = 0
    max_bad: int = 16

    def __post_init__(self):
        for field in ("paths", "holdout_paths", "image_share"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        object.__setattr__(self, "shapes", tuple(tuple(shape) for shape in self.shapes))
        require_at_least(1, self, *_POSITIVE)
        require_at_least(0, self, "threads", "prefetch", "workers", "max_bad")
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


_POSITIVE = (
    "max_holdout", "text_tokens", "tokens_per_shard", "max_rows", "max_buckets",
    "image_share_steps",
)  # fmt: skip
