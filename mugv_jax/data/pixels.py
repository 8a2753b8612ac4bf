# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Batches of frames to train a VAE on, from videos, pictures and TFDS data sets.

frames       uint8   (b f h w 3)   clips, or single pictures
sample       int32   (b)           index of the sample in its source
step         int32   (b)           number of the step, the same in all rows

The samples of a step, and the parts that are cut from them, depend on the seed and the number of
the step alone, so a run resumes exactly with any number of threads or processes.
"""

import dataclasses
import itertools
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mugv_jax import video
from mugv_jax.axes import Frames
from mugv_jax.bounds import require_at_least
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.data.data_config import Reading
from mugv_jax.data.fields import crop
from mugv_jax.data.samples import PACKED_MARKER, Indexed, Joined
from mugv_jax.files import user_path
from mugv_jax.systems.mugv.size import STRIDE

log = logging.getLogger(__name__)

VIDEO = "video"  # the feature of a TFDS data set that holds the frames
TRIES = 16  # samples that are drawn in a row until one can be used


@dataclasses.dataclass(frozen=True, kw_only=True)
class PixelConfig(Reading):
    """Data that a VAE is trained on.

    paths: folders of videos and pictures, or of TFDS data sets with a feature "video" of uint8
        (f h w 3), used as one source.
    split: split of TFDS data sets to train on.
    holdout_paths: folders to validate on.
    holdout_split: split to validate on, of `holdout_paths` or else of `paths`.
    holdout_clips: largest number of clips to validate on.
    size: (width, height) of a clip in pixels. Frames of files are scaled to cover it and cropped;
        larger frames of data sets are cropped at a random place.
    frames: frames of a clip, which starts at a random frame.
    read_frames: frames that are read from the start of a video file, to cut a clip from.
    rows, picture_rows: clips, or pictures, of one data shard in a step.
    picture_share: share of steps that train on pictures, which are single frames of any sample.

    Raises:
        ValueError: values out of range.
    """

    paths: tuple[str, ...] = ()
    split: str = "train"
    holdout_paths: tuple[str, ...] = ()
    holdout_split: str = ""
    holdout_clips: int = 16
    size: tuple[int, int] = (256, 256)
    frames: int = 64
    read_frames: int = 128
    rows: int = 1
    picture_rows: int = 8
    picture_share: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        require_at_least(1, self, "holdout_clips", "rows", "picture_rows", "threads")
        require_at_least(2, self, "frames")
        read = (self.read_frames - 1) // STRIDE * STRIDE + 1
        if read < self.frames:
            raise ValueError(
                f"read_frames={self.read_frames} reads {read} frames of a video, {STRIDE} k + 1 as "
                f"everywhere; frames={self.frames} must not be more, as they are cut from these."
            )
        if not 0 <= self.picture_share <= 1:
            raise ValueError(f"picture_share={self.picture_share} must lie in [0, 1].")
        if min(self.size) < 1:
            raise ValueError(f"size={self.size} must be positive.")


@runtime_checkable
class PixelSource(Indexed[Frames], Protocol):
    """Frames of samples, by index.

    clips: indices of the videos; all other samples are single pictures.
    """

    @property
    def clips(self) -> Sequence[int]: ...


class ClipFiles:
    """Videos and pictures in a folder and its subfolders, sorted by name."""

    def __init__(self, path: Path, config: PixelConfig):
        self._rule = ClipRule(size=config.size, max_frames=config.read_frames)
        suffixes = (*video.VIDEOS, *video.PICTURES)
        self._files = sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes)
        if not self._files:
            raise ValueError(
                f"data.paths: {str(path)!r} holds no video or picture and no {PACKED_MARKER} of a "
                f"data set; known suffixes are {', '.join(suffixes)}."
            )
        self.clips = [i for i, file in enumerate(self._files) if not video.is_picture(file)]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Frames:
        return read_clip(self._files[index], self._rule).frames


class ClipRecords:
    """The videos of one split of a TFDS data set in ArrayRecord files."""

    def __init__(self, path: Path, split: str):
        import tensorflow_datasets as tfds  # slow, and reading files does not need it

        builder: Any = tfds.builder_from_directory(os.fspath(path))
        if split not in builder.info.splits or VIDEO not in builder.info.features:
            raise ValueError(
                f"data set {str(path)!r} has splits {', '.join(builder.info.splits)} with features "
                f"{', '.join(builder.info.features)}; needed is {VIDEO} in the split {split!r}."
            )
        self._records = builder.as_data_source(split)
        self.clips = range(len(self._records))

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Frames:
        return np.asarray(self._records[index][VIDEO])


class JoinedPixels(Joined[Frames]):
    """A `PixelSource` of several sources, one after the other."""

    def __init__(self, sources: Sequence[PixelSource]):
        super().__init__(sources)
        self.clips = [i + at for at, each in zip(self._starts, sources) for i in each.clips]


def open_pixels(paths: Sequence[str], split: str, config: PixelConfig) -> JoinedPixels:
    """The samples in all folders `paths`, as one source.

    split: split of TFDS data sets.

    Raises:
        ValueError: no folder, one without samples, or a data set without videos or this split.
    """
    if not paths:
        raise ValueError("data.paths is empty: name folders of videos, or of TFDS data sets.")
    sources: list[PixelSource] = []
    for name in paths:
        path = user_path(name)
        if not path.is_dir():
            raise ValueError(f"data.paths: {name!r} is not a folder.")
        records = (path / PACKED_MARKER).is_file()
        sources.append(ClipRecords(path, split) if records else ClipFiles(path, config))
    return JoinedPixels(sources)


def cut(frames: Frames, rng: np.random.Generator, count: int, size: tuple[int, int]) -> Frames:
    """`count` successive frames of `size` (width, height), cut out at a random place.

    Raises:
        BadSample: the sample has fewer or smaller frames.
    """
    wanted = (count, size[1], size[0])
    if any(have < want for have, want in zip(frames.shape, wanted)):
        raise BadSample(f"has (f, h, w) {frames.shape[:3]}, less than {wanted}")
    at = [int(rng.integers(have - want + 1)) for have, want in zip(frames.shape, wanted)]
    return frames[tuple(slice(a, a + want) for a, want in zip(at, wanted))]


@dataclasses.dataclass(frozen=True)
class PixelSteps:
    """The batch of every step, by its number: only the rows of the data shards `local`.

    total: number of steps.
    seed: draws samples, and the parts that are cut from them.
    """

    source: JoinedPixels
    config: PixelConfig
    local: Sequence[int]
    total: int
    seed: int

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        config, clips = self.config, self.source.clips
        pictures = np.random.default_rng((self.seed, step)).random() < config.picture_share
        pool: Sequence[int] = range(len(self.source)) if pictures or not clips else clips
        count = 1 if pictures or not clips else config.frames
        rows = config.picture_rows if count == 1 else config.rows
        read = [
            self._draw(np.random.default_rng((self.seed, step, shard, row)), pool, count)
            for shard in self.local
            for row in range(rows)
        ]
        return {
            "frames": np.stack([frames for frames, _ in read]),
            "sample": np.array([index for _, index in read], np.int32),
            "step": np.full(len(read), step, np.int32),
        }

    def _draw(
        self, rng: np.random.Generator, pool: Sequence[int], count: int
    ) -> tuple[Frames, int]:
        """`count` frames of a random sample of `pool`, and the sample's index."""
        for _ in range(TRIES):
            index = int(pool[int(rng.integers(len(pool)))])
            try:
                return cut(self.source[index], rng, count, self.config.size), index
            except BadSample as error:
                log.warning("sample %d is not used: %s.", index, error)
        raise ValueError(
            f"{TRIES} samples drawn one after the other cannot be used; data.frames="
            f"{self.config.frames} or data.size={self.config.size} may be too large for them."
        )


def held_out_clips(config: PixelConfig) -> list[Frames]:
    """The first frames of the first held-out clips that are long enough, cropped to their middle.

    There are none if the config holds nothing out.

    Raises:
        ValueError: samples that cannot be opened, or no clip that is long and large enough.
    """
    if not config.holdout_paths and not config.holdout_split:
        return []
    paths = config.holdout_paths or config.paths
    source = open_pixels(paths, config.holdout_split or config.split, config)
    width, height = config.size
    shape = (config.frames, height, width)
    clips = (source[index] for index in source.clips)
    usable = (crop(clip, shape) for clip in clips if np.all(clip.shape[:3] >= np.array(shape)))
    found = list(itertools.islice(usable, config.holdout_clips))
    if not found:
        raise ValueError(
            f"no held-out clip has {config.frames} frames of {width}x{height} pixels: make "
            "data.frames or data.size smaller, or hold out others."
        )
    return found
