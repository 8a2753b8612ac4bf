# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Two folders of videos, paired by their names without suffixes."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mugv_jax import video
from mugv_jax.eval.clips import videos_in
from mugv_jax.eval.measures import Rgb
from mugv_jax.video.timeline import read_timeline
from mugv_jax.weights.digests import file_digest


class VideoPair(NamedTuple):
    """A reference, and the video that is measured against it.

    size: (width, height) of both, in pixels.
    count: number of their frames, as far as the files tell.
    """

    name: str
    reference: Path
    made: Path
    size: tuple[int, int]
    count: int

    def digest(self) -> str:
        """Identity of both files."""
        return f"{file_digest(self.reference)} {file_digest(self.made)}"


@dataclasses.dataclass(frozen=True)
class FileFrames:
    """The frames of a file, decoded anew by each loop over them.

    size: (width, height) that they are scaled to; None for their own.
    most: number of frames that are taken; None for all.
    """

    path: Path
    count: int
    size: tuple[int, int] | None = None
    most: int | None = None

    def __len__(self) -> int:
        return self.count if self.most is None else min(self.count, self.most)

    def __iter__(self) -> Iterator[Rgb]:
        with video.open_frames(self.path) as stream:
            for frame in itertools.islice(stream.frames, self.most):
                yield frame if self.size is None else video.fit(frame, self.size[1], self.size[0])


def pair_up(a: Path, b: Path) -> tuple[list[VideoPair], list[str]]:
    """Pairs of two folders in order of name, and a line for each video that has no partner or
    another one.

    Raises:
        ValueError: no such folder, or one without videos.
    """
    found = [_by_stem(folder) for folder in (a, b)]
    pairs, bad = [], []
    for stem in sorted({*found[0], *found[1]}):
        names = [each.get(stem, []) for each in found]
        if not all(names):
            lonely, missing = (a, b) if names[0] else (b, a)
            bad.append(f"{lonely / (names[0] or names[1])[0]}: has no partner in {missing}.")
            continue
        if max(map(len, names)) > 1:
            several = " and ".join(max(names, key=len))
            bad.append(f"{several} have one name: it is not clear which one is meant.")
            continue
        try:
            pairs.append(_pair(stem, a / names[0][0], b / names[1][0]))
        except ValueError as error:
            bad.append(f"{stem}: {error}")
    return pairs, bad


def _by_stem(folder: Path) -> dict[str, list[str]]:
    """Names of a folder's videos, by their path without suffix."""
    if not folder.is_dir():
        reason = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"{str(folder)!r} {reason}: give a folder of videos.")
    found: dict[str, list[str]] = {}
    for name in videos_in(folder):
        found.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(name)
    if not found:
        raise ValueError(f"{str(folder)!r} holds no videos ({', '.join(video.VIDEOS)}).")
    return found


def _pair(name: str, reference: Path, made: Path) -> VideoPair:
    """A pair whose videos have one size and length.

    Raises:
        ValueError: they have not, or one of them cannot be read.
    """
    sizes = []
    for path in (reference, made):
        with video.open_frames(path) as stream:
            sizes.append(stream.size)
    if sizes[0] != sizes[1]:
        differing = " and ".join(f"{width}x{height}" for width, height in sizes)
        raise ValueError(f"the sizes differ, {differing} pixels.")
    counts = [len(read_timeline(path).shown) for path in (reference, made)]
    if all(counts) and counts[0] != counts[1]:
        raise ValueError(f"the lengths differ, {counts[0]} and {counts[1]} frames.")
    return VideoPair(name, reference, made, sizes[0], counts[0])
